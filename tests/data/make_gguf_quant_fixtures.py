#!/usr/bin/env python3
"""Writes tests/data/gguf/types.gguf with the Python package `gguf`: blocks of every quantised type, and their values.

python3 tests/data/make_gguf_quant_fixtures.py
Tensor "q4_k" has two rows of 256 elements in random blocks of type Q4_K, "q4_k.values" what gguf.quants makes of them.
"""

import pathlib

import gguf
import numpy

OUT = pathlib.Path(__file__).parent / "gguf" / "types.gguf"
ELEMENTS = 256

# Where a block has its F16 numbers; the other bytes may be anything.
HALVES = {"Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2], "Q8_0": [0], "Q2_K": [80, 82], "Q3_K": [108],
          "Q4_K": [0, 2], "Q5_K": [0, 2], "Q6_K": [208], "IQ1_S": [0], "IQ1_M": [], "IQ2_XXS": [0], "IQ2_XS": [0],
          "IQ2_S": [0], "IQ3_XXS": [0], "IQ3_S": [0], "IQ4_NL": [0], "IQ4_XS": [0], "TQ1_0": [52], "TQ2_0": [64],
          "MXFP4": []}


def random_blocks(random, name, size, count):
    blocks = random.integers(0, 256, (count, size), dtype=numpy.uint8)
    for place in HALVES[name]:
        blocks[:, place:place + 2] = random.normal(0, 0.01, (count, 1)).astype(numpy.float16).view(numpy.uint8)
    if name == "IQ1_M":
        # The F16 scale is in the upper half bytes of the last four words: 0.01 or so.
        scale = random.normal(0, 0.01, count).astype(numpy.float16).view(numpy.uint16)
        for word in range(4):
            part = ((scale >> (4 * word)) & 15).astype(numpy.uint8)
            blocks[:, 49 + 2 * word] = (blocks[:, 49 + 2 * word] & 15) | (part << 4)
    if name == "MXFP4":
        blocks[:, 0] = random.integers(0, 250, count, dtype=numpy.uint8)
        blocks[0, 0], blocks[1, 0] = 0, 1
    return blocks


def main():
    random = numpy.random.default_rng(7)
    writer = gguf.GGUFWriter(OUT, "fixture")
    for name in HALVES:
        kind = gguf.GGMLQuantizationType[name]
        elements, size = gguf.GGML_QUANT_SIZES[kind]
        blocks = random_blocks(random, name, size, 2 * ELEMENTS // elements).reshape(2, -1)
        values = gguf.quants.dequantize(blocks, kind).astype(numpy.float32)
        assert values.shape == (2, ELEMENTS) and numpy.isfinite(values).all(), name
        writer.add_tensor(name.lower(), blocks, raw_dtype=kind)
        writer.add_tensor(name.lower() + ".values", values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


if __name__ == "__main__":
    main()
