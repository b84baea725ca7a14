"""Compares what amalgam writes and reads with the safetensors and gguf packages.

Usage: interop_check.py AMALGAM_BINARY WORK_FOLDER
"""

import json
import pathlib
import subprocess
import sys

import gguf
import numpy as np
import safetensors.numpy

AMALGAM, WORK = sys.argv[1], pathlib.Path(sys.argv[2])
checks = 0


def check(condition, what):
    global checks
    checks += 1
    if not condition:
        sys.exit(f"interop: {what}: differs")


def amalgam(*words):
    subprocess.run([AMALGAM, *map(str, words)], check=True)


def gguf_values(path):
    """Tensors of a GGUF file as float32 arrays, dequantised by the gguf package itself."""
    values = {}
    for tensor in gguf.GGUFReader(path).tensors:
        shape = [int(n) for n in reversed(tensor.shape)]
        data = tensor.data
        if tensor.tensor_type != gguf.GGMLQuantizationType.I64:  # those the package gives as they are
            data = gguf.quants.dequantize(data, tensor.tensor_type)
        values[tensor.name] = data.reshape(shape)
    return values


def make_members():
    generator = np.random.default_rng(7)
    paths = []
    for member in range(3):
        tensors = {
            "model.embed.weight": generator.normal(size=(96, 64)).astype(np.float32),
            "layers.0.weight": generator.normal(size=(64, 128)).astype(np.float16),
            "layers.1.weight": generator.normal(size=(32, 512)).astype(np.float32),
            "layers.0.bias": generator.normal(size=(64,)).astype(np.float32),
            "scalar": np.array(generator.normal(), dtype=np.float32),
            "steps": np.arange(5, dtype=np.int64),
        }
        paths.append(WORK / f"member{member}.safetensors")
        safetensors.numpy.save_file(tensors, paths[-1], metadata={"format": "np"})
    return paths


def main():
    members = make_members()

    merged = WORK / "merged.safetensors"
    amalgam("merge", "--method", "linear", *members, "-p", "weight=1", "-o", merged, "--overwrite")
    ours = safetensors.numpy.load_file(merged)
    inputs = [safetensors.numpy.load_file(path) for path in members]
    check(sorted(ours) == sorted(inputs[0]), "tensor names of a merge")
    for name, value in ours.items():
        if value.dtype == np.int64:
            expected = inputs[0][name]
        else:
            total = sum(tensors[name].astype(np.float64) for tensors in inputs)
            expected = (total / 3).astype(value.dtype)
        check(np.array_equal(value, expected), f"merged values of {name}")

    folder = WORK / "sharded"
    amalgam("merge", "--method", "linear", *members, "-p", "weight=1", "-o", folder,
            "--shard-size", "20kB", "--overwrite")
    index = json.loads((folder / "model.safetensors.index.json").read_text())
    for name, shard in index["weight_map"].items():
        shard_values = safetensors.numpy.load_file(folder / shard)
        check(np.array_equal(shard_values[name], ours[name]), f"{name} in {shard}")

    # The gguf package cannot read BF16 tensors without dimensions.
    without_scalar = WORK / "without_scalar.safetensors"
    kept = {name: value for name, value in inputs[0].items() if value.shape}
    safetensors.numpy.save_file(kept, without_scalar)
    for quant in ("F32", "F16", "BF16", "Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K",
                  "IQ4_NL", "IQ4_XS"):
        path = WORK / f"{quant}.gguf"
        member = without_scalar if quant == "BF16" else members[0]
        amalgam("convert", member, path, "--dtype", quant, "--overwrite")
        theirs = gguf_values(path)
        back = WORK / f"{quant}.safetensors"
        amalgam("convert", path, back, "--dtype", "F32", "--overwrite")
        again = safetensors.numpy.load_file(back)
        for name, value in theirs.items():
            check(np.array_equal(value.astype(again[name].dtype), again[name]), f"{name} as {quant}")
        # Our quantiser must not be worse than the package's own, where it has one.
        if quant in ("Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1"):
            kind = gguf.GGMLQuantizationType[quant]
            weight = inputs[0]["model.embed.weight"]
            reference = gguf.quants.dequantize(gguf.quants.quantize(weight, kind), kind)
            error = np.sqrt(np.mean((theirs["model.embed.weight"] - weight) ** 2))
            limit = np.sqrt(np.mean((reference - weight) ** 2))
            print(f"{quant}: RMSE {error:.6f}, the gguf package's {limit:.6f}")
            check(error <= limit * 1.000001, f"RMSE of {quant}")
    print(f"interop: {checks} checks passed")


main()
