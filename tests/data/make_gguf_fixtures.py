#!/usr/bin/env python3
"""Writes the GGUF files in tests/data/gguf/, from the format's description, without any GGUF library.

python3 tests/data/make_gguf_fixtures.py
The values are what tests/checkpoint/gguf_test.cpp expects.
"""

import pathlib
import struct

OUT = pathlib.Path(__file__).parent / "gguf"

UINT8, INT8, UINT16, INT16, UINT32, INT32, FLOAT32, BOOL, STRING, ARRAY, UINT64, INT64, FLOAT64 = range(13)
FORMATS = {UINT8: "<B", INT8: "<b", UINT16: "<H", INT16: "<h", UINT32: "<I", INT32: "<i", FLOAT32: "<f",
           BOOL: "<?", UINT64: "<Q", INT64: "<q", FLOAT64: "<d"}


def string(text):
    data = text if isinstance(text, bytes) else text.encode()
    return struct.pack("<Q", len(data)) + data


def value(kind, content):
    """The bytes of a value; an array is (element type, list)."""
    if kind == STRING:
        return string(content)
    if kind == ARRAY:
        element, items = content
        return struct.pack("<IQ", element, len(items)) + b"".join(value(element, item) for item in items)
    return struct.pack(FORMATS[kind], content)


def file(version, pairs, tensors, alignment):
    """tensors: (name, row-major shape, ggml type number, bytes)."""
    header = b"GGUF" + struct.pack("<IQQ", version, len(tensors), len(pairs))
    for key, kind, content in pairs:
        header += string(key) + struct.pack("<I", kind) + value(kind, content)
    data = b""
    for name, shape, number, content in tensors:
        header += string(name) + struct.pack("<I", len(shape))
        header += b"".join(struct.pack("<Q", size) for size in reversed(shape))
        header += struct.pack("<IQ", number, len(data))
        data += content + b"\0" * (-len(content) % alignment)
    return header + b"\0" * (-len(header) % alignment) + data


def half(number):
    return struct.pack("<e", number)


def nibbles(quants):
    """32 numbers of 4 bits: byte j holds numbers j (low half) and j + 16 (high half)."""
    return bytes(quants[j] | quants[j + 16] << 4 for j in range(16))


def fifth_bits(quants):
    return struct.pack("<I", sum((quant >> 4) << j for j, quant in enumerate(quants)))


FOURS = [j % 16 for j in range(32)]
FIVES = list(range(32))
SIX = range(6)
TENSORS = [
    ("f32", (2, 3), 0, struct.pack("<6f", *SIX)),
    ("f16", (2, 3), 1, struct.pack("<6e", *SIX)),
    ("bf16", (2, 3), 30, b"".join(struct.pack("<f", v)[2:] for v in SIX)),
    ("f64", (2, 3), 28, struct.pack("<6d", *SIX)),
    ("i8", (2, 3), 24, struct.pack("<6b", *SIX)),
    ("i16", (2, 3), 25, struct.pack("<6h", *SIX)),
    ("i32", (2, 3), 26, struct.pack("<6i", *SIX)),
    ("i64", (2, 3), 27, struct.pack("<6q", *SIX)),
    # Two rows: scale 0.5, then 2; quants -16 .. 15.
    ("q8_0", (2, 32), 8, half(0.5) + struct.pack("<32b", *range(-16, 16))
     + half(2) + struct.pack("<32b", *range(-16, 16))),
    # (q - 8) * 0.5 for q = 0 .. 15, twice
    ("q4_0", (1, 32), 2, half(0.5) + nibbles(FOURS)),
    # q * 0.25 + 1
    ("q4_1", (1, 32), 3, half(0.25) + half(1) + nibbles(FOURS)),
    # (q - 16) * 0.5 for q = 0 .. 31
    ("q5_0", (1, 32), 6, half(0.5) + fifth_bits(FIVES) + nibbles([q & 15 for q in FIVES])),
    # q * 0.25 - 1
    ("q5_1", (1, 32), 7, half(0.25) + half(-1) + fifth_bits(FIVES) + nibbles([q & 15 for q in FIVES])),
    ("scalar", (), 0, struct.pack("<f", 42)),
    ("four_axes", (1, 2, 3, 1), 24, struct.pack("<6b", *SIX)),
]
PAIRS = [
    ("general.architecture", STRING, "llama"),
    ("general.name", STRING, "fixture"),
    ("test.uint8", UINT8, 200),
    ("test.int8", INT8, -100),
    ("test.uint16", UINT16, 60000),
    ("test.int16", INT16, -30000),
    ("test.uint32", UINT32, 4000000000),
    ("test.int32", INT32, -2000000000),
    ("test.float32", FLOAT32, 0.25),
    ("test.bool", BOOL, True),
    ("test.uint64", UINT64, 2**63),
    ("test.int64", INT64, -(2**62)),
    ("test.float64", FLOAT64, 1e300),
    ("test.not_utf8", STRING, b"\xff\xfe"),
    ("test.nested", ARRAY, (ARRAY, [(UINT8, [1, 2]), (STRING, ["x"]), (INT16, [])])),
    ("tokenizer.ggml.tokens", ARRAY, (STRING, ["<s>", "▁a", "", "b"])),
    ("tokenizer.ggml.scores", ARRAY, (FLOAT32, [0.0, -1.5, -2.0, -3.0])),
    ("tokenizer.ggml.flags", ARRAY, (BOOL, [True, False])),
    ("general.file_type", UINT32, 1),
]


def main():
    OUT.mkdir(exist_ok=True)
    (OUT / "v3.gguf").write_bytes(file(3, PAIRS, TENSORS, 32))
    (OUT / "v2_aligned_64.gguf").write_bytes(
        file(2, [("general.alignment", UINT32, 64)] + PAIRS[:2], TENSORS[:2], 64))


if __name__ == "__main__":
    main()
