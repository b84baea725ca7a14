#!/usr/bin/env python3
"""Writes the seed corpora of the safetensors and index fuzz targets.

Usage: scripts/make_safetensors_corpus.py [fuzz/corpus]
Small valid files, and files with one thing wrong each, so that the fuzzer starts beside every check.
"""

import json
import pathlib
import struct
import sys

DTYPES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "F8_E4M3": 1, "F8_E5M2": 1, "I64": 8, "I32": 4,
          "I16": 2, "I8": 1, "U64": 8, "U32": 4, "U16": 2, "U8": 1, "BOOL": 1}


def container(header, data=b""):
    text = header if isinstance(header, bytes) else json.dumps(header, separators=(",", ":")).encode()
    return struct.pack("<Q", len(text)) + text + data


def entry(dtype, shape, begin, end):
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


def safetensors():
    yield "empty", container({})
    yield "one", container({"a": entry("F32", [2], 0, 8)}, bytes(8))
    every, place = {"__metadata__": {"format": "pt"}}, 0
    for dtype, size in DTYPES.items():
        every[dtype.lower()] = entry(dtype, [1], place, place + size)
        place += size
    yield "dtypes", container(every, bytes(range(place)))
    yield "scalar_and_empty", container(
        {"s": entry("U8", [], 0, 1), "e": entry("I64", [0, 9], 1, 1)}, b"x")
    yield "padded", container(b'{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}   ', b"x")
    yield "overlap", container({"a": entry("U8", [2], 0, 2), "b": entry("U8", [2], 1, 3)}, b"xyz")
    yield "hole", container({"a": entry("U8", [1], 0, 1), "b": entry("U8", [1], 2, 3)}, b"xyz")
    yield "rest", container({"a": entry("U8", [1], 0, 1)}, b"xy")
    yield "past_end", container({"a": entry("U8", [9], 0, 9)}, b"xy")
    yield "backwards", container({"a": entry("U8", [1], 2, 1)}, b"xy")
    yield "overflow", container({"a": entry("U8", [2**32, 2**32], 0, 0)})
    yield "negative", container({"a": entry("U8", [-1], 0, 1)}, b"x")
    yield "twice", container(b'{"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},'
                             b'"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}')
    yield "metadata_number", container({"__metadata__": {"a": 1}})
    yield "deep", container(b'{"a":' + b"[" * 70)
    yield "long_header", struct.pack("<Q", 2**63) + b"{}"
    yield "cut_header", struct.pack("<Q", 100) + b'{"a":'
    yield "short", b"1234"
    yield "header_only", b'{"a":{"dtype":"U8","shape":[73],"data_offsets":[0,73]},"__metadata__":{}}'


def indexes():
    def index(weight_map, **more):
        return json.dumps({"metadata": {"total_size": 3}, "weight_map": weight_map, **more}).encode()

    yield "two", index({"a": "model-00001-of-00002.safetensors",
                        "b": "model-00002-of-00002.safetensors"})
    yield "subfolder", index({"a": "sub/x.bin"})
    yield "parent", index({"a": "../x"})
    yield "inner_parent", index({"a": "x/../../y"})
    yield "absolute", index({"a": "/etc/passwd"})
    yield "nul", b'{"weight_map":{"a":"x\\u0000y"}}'
    yield "slash", index({"a": "x/"})
    yield "number", index({"a": 1})
    yield "none", b'{"metadata":{}}'
    yield "list", b"[]"
    yield "twice", b'{"weight_map":{"a":"x","a":"y"}}'
    yield "deep", b'{"weight_map":' + b'{"a":' * 70


def main():
    root = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else "fuzz/corpus")
    for folder, files in (("safetensors", safetensors()), ("index_json", indexes())):
        (root / folder).mkdir(parents=True, exist_ok=True)
        for name, contents in files:
            (root / folder / name).write_bytes(contents)


if __name__ == "__main__":
    main()
