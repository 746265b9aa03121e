#!/usr/bin/env python3
"""Seeds for the checkpoint fuzzer: checkpoint_seeds.py FOLDER. Small files of all three forms, written byte by byte."""
import json
import os
import struct
import sys
import zipfile


def text(word):
    return b"X" + struct.pack("<I", len(word)) + word.encode()


def tensor(key, dims, old):
    count = 1
    for d in dims:
        count *= d
    strides, step = [], 1
    for d in reversed(dims):
        strides.insert(0, step)
        step *= d
    numbers = lambda values: b"(" + b"".join(b"K" + bytes([v & 255]) for v in values) + b"t"
    call = b"ctorch._utils\n_rebuild_tensor\n" if old else b"ctorch._utils\n_rebuild_tensor_v2\n"
    storage = b"(" + text("storage") + b"ctorch\nFloatStorage\n" + text(key) + text("cpu") + b"K" + bytes([count]) + (b"N" if old else b"") + b"tQ"
    tail = b"" if old else b"\x89ccollections\nOrderedDict\n)R"
    return call + b"(" + storage + b"K\0" + numbers(dims) + numbers(strides) + tail + b"tR"


def state_dict(old):
    entries = text("conv1.weight") + tensor("0", [2, 3, 1, 1], old) + text("bn1.bias") + tensor("1", [2], old)
    return b"\x80\x02}(" + entries + b"u."


def main():
    folder = sys.argv[1]
    os.makedirs(folder, exist_ok=True)
    data = {"0": struct.pack("<6f", *range(6)), "1": struct.pack("<2f", 1, 2)}
    with zipfile.ZipFile(os.path.join(folder, "zip.pth"), "w") as archive:
        archive.writestr("a/data.pkl", state_dict(False))
        archive.writestr("a/byteorder", "little")
        for key, value in data.items():
            archive.writestr("a/data/" + key, value)
    magic = bytes([0x80, 2, 0x8A, 10, 0x6C, 0xFC, 0x9C, 0x46, 0xF9, 0x20, 0x6A, 0xA8, 0x50, 0x19]) + b"."
    old = magic + b"\x80\x02M\xe9\x03." + b"\x80\x02}." + state_dict(True) + b"\x80\x02](" + text("0") + text("1") + b"e."
    for value in data.values():
        old += struct.pack("<q", len(value) // 4) + value
    with open(os.path.join(folder, "old.th"), "wb") as file:
        file.write(old)
    header = json.dumps({"w": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}).encode()
    with open(os.path.join(folder, "w.safetensors"), "wb") as file:
        file.write(struct.pack("<Q", len(header)) + header + data["1"])


if __name__ == "__main__":
    main()
