"""Quantising F16, Amalgam beside ggml on the same machine: GB/s of F16 per core, by processor time.

    build/interop/venv/bin/python bench/quantise_compare.py build/release/bin/quantise_bench [ROUNDS]

Amalgam's figures are of the whole conversion (decoding, quantising, measuring the error); ggml's of
quantising floats, and of that with its conversion of F16 to floats. In turns, the best of all rounds
(default 3). Needs the packages of `make interop` (ggml-python, numpy).
"""

import ctypes
import subprocess
import sys
import time

import ggml
import numpy as np

ROWS, COLUMNS = 1024, 4096
TYPES = ("Q8_0", "Q6_K", "Q5_K", "Q5_1", "Q5_0", "Q4_K", "Q4_1", "Q4_0", "Q3_K", "Q2_K")


def amalgam_speeds(bench):
    listed = ",".join(name.lower() for name in TYPES)
    done = subprocess.run([bench, "--elements", str(ROWS * COLUMNS), "--types", listed],
                          capture_output=True, text=True, check=True)
    rows = [line.split() for line in done.stdout.splitlines()[1:]]
    return {row[0].upper(): float(row[1]) for row in rows}


def seconds(work):
    start = time.process_time()
    work()
    return time.process_time() - start


def ggml_speeds():
    """Of every type: GB/s of quantising, and of converting and quantising."""
    halves = (0.02 * np.random.default_rng(1).standard_normal(ROWS * COLUMNS)).astype(np.float16)
    floats = np.empty(ROWS * COLUMNS, np.float32)
    stored = np.empty(2 * ROWS * COLUMNS, np.uint8)
    values = floats.ctypes.data_as(ctypes.POINTER(ctypes.c_float))
    convert = seconds(lambda: ggml.ggml_fp16_to_fp32_row(
        halves.ctypes.data_as(ctypes.POINTER(ctypes.c_uint16)), values, halves.size))
    speeds = {}
    for name in TYPES:
        kind = getattr(ggml, f"GGML_TYPE_{name}")
        quantise = seconds(lambda: ggml.ggml_quantize_chunk(
            kind, values, stored.ctypes.data, 0, ROWS, COLUMNS, None))
        speeds[name] = halves.nbytes / 1e9 / np.array([quantise, quantise + convert])
    return speeds


def main():
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 3
    ours, theirs = {}, {}
    for _ in range(rounds):
        for name, speed in amalgam_speeds(sys.argv[1]).items():
            ours[name] = max(speed, ours.get(name, 0))
        for name, speed in ggml_speeds().items():
            theirs[name] = np.maximum(speed, theirs.get(name, 0))
    print("| type | Amalgam | ggml | ggml with F16 to float | ratio to ggml |\n| --- | --- | --- | --- | --- |")
    for name in TYPES:
        alone, whole = theirs[name]
        print(f"| {name} | {ours[name]:.2f} | {alone:.2f} | {whole:.2f} | {ours[name] / alone:.1f} |")


if __name__ == "__main__":
    main()
