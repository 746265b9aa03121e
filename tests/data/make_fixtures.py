#!/usr/bin/env python3
"""Writes pillow_fixtures.inc: tiny picture files and what Pillow makes of them.

Run with Pillow and NumPy installed:  python3 tests/data/make_fixtures.py > tests/data/pillow_fixtures.inc
Hashes are FNV-1a, 64 bits, of the RGB bytes, rows top to bottom.
"""
import io
import struct
import sys
import zlib

import numpy as np
import PIL
from PIL import Image, ImageDraw


def fnv(data):
    h = 0xCBF29CE484222325
    for b in data:
        h = ((h ^ b) * 0x100000001B3) & 0xFFFFFFFFFFFFFFFF
    return h


def pattern(w, h):
    """The test's own pattern(): pixel (x, y, c) = x*37 + y*91 + c*53 + x*y*7 + (x*x*y >> 3), modulo 256."""
    data = bytes((x * 37 + y * 91 + c * 53 + x * y * 7 + (x * x * y >> 3)) & 255
                 for y in range(h) for x in range(w) for c in range(3))
    return Image.frombytes("RGB", (w, h), data)


def smooth(w, h):
    im = Image.new("RGB", (w, h))
    im.putdata([(x * 255 // w, y * 255 // h, (x + y) * 255 // (w + h)) for y in range(h) for x in range(w)])
    ImageDraw.Draw(im).ellipse((2, 3, w // 2, h // 2), fill=(200, 30, 60))
    return im


def saved(im, fmt, **options):
    out = io.BytesIO()
    im.save(out, fmt, **options)
    return out.getvalue()


def png(w, h, depth, colour, rows, extra=b""):
    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", w, h, depth, colour, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + extra + chunk(b"IDAT", zlib.compress(b"".join(b"\0" + r for r in rows))) + chunk(b"IEND", b"")


def files():
    s = smooth(17, 13)
    yield "jpeg_420", saved(s, "JPEG", quality=75)
    yield "jpeg_422_progressive", saved(s, "JPEG", quality=90, subsampling=1, progressive=True)
    yield "jpeg_444", saved(s, "JPEG", quality=50, subsampling=0)
    yield "jpeg_gray", saved(s.convert("L"), "JPEG")
    yield "jpeg_cmyk", saved(s.convert("CMYK"), "JPEG", quality=80)
    yield "png_rgb", saved(s, "PNG")
    yield "png_rgba", saved(Image.merge("RGBA", [*s.split(), s.split()[0]]), "PNG")
    yield "png_palette", saved(s.quantize(23), "PNG")
    yield "png_palette_transparent", saved(s.quantize(9), "PNG", transparency=3)
    yield "png_palette_2_bits", saved(s.quantize(4), "PNG", bits=2)
    yield "png_gray", saved(s.convert("L"), "PNG")
    yield "png_gray_alpha", saved(s.convert("LA"), "PNG")
    yield "png_one_bit", saved(s.convert("1"), "PNG")
    rows16 = [b"".join(struct.pack(">HHH", x * 3000 & 65535, y * 5000, (x * y * 777 + 200) & 65535) for x in range(7)) for y in range(5)]
    yield "png_rgb_16", png(7, 5, 16, 2, rows16)
    yield "bmp_24", saved(s, "BMP")
    yield "bmp_8", saved(s.quantize(50), "BMP")
    yield "bmp_gray", saved(s.convert("L"), "BMP")
    yield "bmp_1", saved(s.convert("1"), "BMP")
    yield "bmp_32", saved(Image.merge("RGBA", [*s.split(), s.split()[1]]), "BMP")
    bmp = bytearray(saved(s, "BMP"))
    struct.pack_into("<i", bmp, 22, -13)
    yield "bmp_top_down", bytes(bmp)
    yield "ppm", saved(s, "PPM")
    yield "pgm", saved(s.convert("L"), "PPM")
    yield "ppm_comment_maxval", b"P6 # a\n3 1 # b\n100\n" + bytes([0, 50, 100, 1, 2, 3, 33, 66, 99])


def arrays():
    """NumPy's files: x is f4 [2,3] 0..5, k is i8 [2]."""
    x, k = np.arange(6, dtype=np.float32).reshape(2, 3), np.array([7, -1])

    def made(save, *args, **kwargs):
        out = io.BytesIO()
        save(out, *args, **kwargs)
        return out.getvalue()
    yield "npy_f4", made(np.save, x)
    yield "npy_u1_scalar", made(np.save, np.uint8(9))
    yield "npy_fortran", made(np.save, np.asfortranarray(x))
    yield "npy_big_endian", made(np.save, x.astype(">f4"))
    yield "npz_stored", made(np.savez, x=x, labels=k)
    yield "npz_deflated", made(np.savez_compressed, x=x, labels=k)


def hex_lines(out, data):
    text = data.hex()
    for at in range(0, len(text), 108):
        out.write(f'     "{text[at:at + 108]}"\n')


def main():
    out = sys.stdout
    out.write(f"// Written by make_fixtures.py with Pillow {PIL.__version__} and NumPy {np.__version__}; do not edit.\n\n")
    out.write("// name, file as hex, width, height, hash of the pixels after convert(\"RGB\")\n")
    out.write("const std::vector<FileFixture> k_files = {\n")
    for name, data in files():
        im = Image.open(io.BytesIO(data)).convert("RGB")
        out.write(f'    {{"{name}", {im.width}, {im.height}, 0x{fnv(im.tobytes()):016x}ull,\n')
        hex_lines(out, data)
        out.write("    },\n")
    out.write("};\n\n// in width, height, out width, height, hash of resize((w, h), BILINEAR) of pattern(in)\n")
    out.write("const std::vector<ResizeFixture> k_resizes = {\n")
    for w, h, ow, oh in [(17, 13, 7, 5), (17, 13, 17, 5), (17, 13, 6, 13), (17, 13, 17, 13), (17, 13, 40, 31), (1, 1, 5, 3),
                         (5, 3, 1, 1), (33, 71, 64, 20), (128, 97, 31, 96), (300, 201, 256, 171), (201, 300, 8, 8),
                         (511, 3, 2, 511), (2, 2, 3, 3), (97, 64, 96, 63), (640, 427, 383, 256)]:
        im = pattern(w, h).resize((ow, oh), Image.Resampling.BILINEAR)
        out.write(f"    {{{w}, {h}, {ow}, {oh}, 0x{fnv(im.tobytes()):016x}ull}},\n")
    out.write("};\n\n// NumPy files as hex\nconst std::vector<ArrayFixture> k_arrays = {\n")
    for name, data in arrays():
        out.write(f'    {{"{name}",\n')
        hex_lines(out, data)
        out.write("    },\n")
    out.write("};\n")


main()
