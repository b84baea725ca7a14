#!/usr/bin/env python3
"""Writes the seed corpus of the fuzz target for sparse rows.

Usage: scripts/make_csr_corpus.py [fuzz/corpus]
A valid small file, and files with one thing wrong each, so that the fuzzer starts beside every check.
"""
import json
import pathlib
import struct
import sys


def safetensors(shapes, tensors):
    header, data = {"__metadata__": {"amalgam.csr": json.dumps(shapes)}}, b""
    for name, (dtype, count, contents) in tensors.items():
        header[name] = {"dtype": dtype, "shape": [count],
                        "data_offsets": [len(data), len(data) + len(contents)]}
        data += contents
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def sparse(shape, values, columns, rows):
    return safetensors({"w": shape}, {
        "w.csr_rows": ("I64", len(rows), struct.pack(f"<{len(rows)}q", *rows)),
        "w.csr_values": ("F32", len(values), struct.pack(f"<{len(values)}f", *values)),
        "w.csr_columns": ("I32", len(columns), struct.pack(f"<{len(columns)}i", *columns))})


SEEDS = {
    "good": sparse([2, 3], [1, 2, 3], [0, 2, 1], [0, 2, 3]),
    "empty_row": sparse([3, 2], [1, 2], [0, 1], [0, 1, 1, 2]),
    "convolution": sparse([2, 1, 2, 2], [1, 2], [3, 0], [0, 1, 2]),
    "wide": sparse([1, 2147483647], [5], [2147483646], [0, 1]),
    "too_wide": sparse([1, 2147483648], [5], [0], [0, 1]),
    "no_rows": sparse([0, 3], [], [], [0]),
    "column_outside": sparse([2, 3], [1, 2], [0, 3], [0, 1, 2]),
    "column_negative": sparse([2, 3], [1, 2], [0, -1], [0, 1, 2]),
    "columns_fall": sparse([2, 3], [1, 2], [2, 1], [0, 2, 2]),
    "rows_fall": sparse([2, 3], [1, 2], [0, 1], [0, 2, 1]),
    "rows_past_end": sparse([2, 3], [1, 2], [0, 1], [0, 1, 9]),
    "rows_negative": sparse([2, 3], [1, 2], [0, 1], [-1, 1, 2]),
    "other_counts": sparse([2, 3], [1, 2], [0], [0, 1, 2]),
    "overflow": sparse([4294967296, 4294967296], [1], [0], [0, 1]),
    "missing_parts": safetensors({"w": [2, 3]}, {}),
    "shapes_list": safetensors([1], {}),
}


def main():
    folder = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else "fuzz/corpus") / "csr"
    folder.mkdir(parents=True, exist_ok=True)
    for name, contents in SEEDS.items():
        (folder / name).write_bytes(contents)


if __name__ == "__main__":
    main()
