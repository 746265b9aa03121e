#!/usr/bin/env python3
"""Seeds for the fuzzers of texts, pictures and arrays: loader_seeds.py FOLDER. Small valid files, written byte by byte."""
import os
import struct
import sys
import zipfile
import zlib


def npy(dtype, dims, data, version=1):
    head = ("{'descr': '%s', 'fortran_order': False, 'shape': %s, }" % (dtype, tuple(dims))).encode()
    head += b" " * (64 - (len(head) + 11) % 64) + b"\n"
    return b"\x93NUMPY" + bytes([version, 0]) + struct.pack("<H" if version == 1 else "<I", len(head)) + head + data


def png(color, row):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    palette = chunk(b"PLTE", bytes(range(12))) if color == 3 else b""
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 2, 2, 8, color, 0, 0, 0)) + palette +
            chunk(b"IDAT", zlib.compress((b"\0" + row) * 2)) + chunk(b"IEND", b""))


def bmp(bits):
    row = bytes(range(2 * bits // 8)).ljust((2 * bits // 8 + 3) // 4 * 4, b"\0")
    size = 54 + 2 * len(row)
    return (b"BM" + struct.pack("<IHHI", size, 0, 0, 54) + struct.pack("<IiiHHIIiiII", 40, 2, 2, 1, bits, 0, 0, 0, 0, 0, 0) +
            row * 2)


TEXTS = [
    "graph g (x: f32[N,2,4,4]) -> (y) {\n  const w: f32[2,2,1,1] = {1, -0.5, 0x1.8p+1, inf}\n"
    "  c = Conv(x, w, _, pads=[0,0,0,0]) @conv1\n  y = Relu(c)\n}\n",
    'graph (x: s8[4]) -> (a, b) {\n  @"octet.preprocess" = "rgb"\n  const k: s64[2] = {2, 2} # split\n'
    "  a, b = Split(x, k, axis=0)\n}\n",
    'graph t (x: f32[?,3]) -> ("odd name") {\n  const s: f32[] = {0.5}\n  const z: u8[] = {3}\n'
    '  q = QuantizeLinear(x, s, z)\n  d = DequantizeLinear(q, s, z)\n  "odd name" = Cast(d, to="f16")\n}\n',
    'graph (n: s64[1]) -> (y) {\n  const b: u8[66] = base64 "' + "AAEC" * 22 + '"\n'
    "  y = ConstantOfShape(n, value=tensor(f32[1], {nan}))\n}\n",
]


def main():
    root = sys.argv[1]
    files = {"text/%d" % i: text.encode() for i, text in enumerate(TEXTS)}
    files |= {"image/ppm": b"P6\n2 2\n255\n" + bytes(range(12)), "image/pgm": b"P5 # grey\n2 2 255\n\1\2\3\4",
              "image/bmp24": bmp(24), "image/bmp32": bmp(32), "image/png0": png(0, b"\1\2"), "image/png2": png(2, bytes(6)),
              "image/png3": png(3, b"\0\1"), "image/png6": png(6, bytes(8))}
    files |= {"npy/f4": npy("<f4", [2, 3], bytes(24)), "npy/u1": npy("|u1", [5], bytes(5)), "npy/i8": npy("<i8", [], bytes(8)),
              "npy/v2": npy("<f2", [1, 0], b"", 2)}
    for name, data in files.items():
        os.makedirs(os.path.dirname(os.path.join(root, name)), exist_ok=True)
        with open(os.path.join(root, name), "wb") as file:
            file.write(data)
    with zipfile.ZipFile(os.path.join(root, "npy/two.npz"), "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.npy", files["npy/f4"])
        archive.writestr("b.npy", files["npy/u1"])


if __name__ == "__main__":
    main()
