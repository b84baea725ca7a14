"""Safetensors files and the number formats of the reference: nothing but NumPy and the standard library.

A checkpoint is a dict of name -> Stored. Values are held as float64, which every format here fits into
exactly; `store` rounds once, to nearest even, from float64 to the format.
"""

import json
import struct
from dataclasses import dataclass

import numpy as np

# significand bits (with the hidden one), least normal exponent, greatest exponent, bytes
FORMATS = {"F64": (53, -1022, 1023, 8), "F32": (24, -126, 127, 4), "F16": (11, -14, 15, 2), "BF16": (8, -126, 127, 2)}


@dataclass
class Stored:
    dtype: str
    values: np.ndarray  # float64, exactly representable in dtype


def spacing(values, dtype):
    """The distance between neighbouring numbers of the format at |values| (one ulp)."""
    bits, least, _, _ = FORMATS[dtype]
    _, exponent = np.frexp(np.abs(values))  # |x| = m 2^e with m in [1/2, 1)
    return np.ldexp(1.0, np.maximum(exponent - 1, least) - (bits - 1))


def round_to(values, dtype):
    """float64 -> the nearest number of the format, ties to even, as float64."""
    values = np.asarray(values, dtype=np.float64)
    if dtype == "F64":
        return values
    bits, _, greatest, _ = FORMATS[dtype]
    unit = spacing(values, dtype)
    rounded = np.rint(values / unit) * unit  # both steps are exact but for the rint
    limit = np.ldexp(2.0 - np.ldexp(1.0, 1 - bits), greatest)
    return np.where(np.abs(rounded) > limit, np.copysign(np.inf, values), rounded)


def to_bytes(values, dtype):
    """The little-endian bytes of values already rounded to the format."""
    values = np.ascontiguousarray(values, dtype=np.float64)
    if dtype == "F64":
        return values.astype("<f8").tobytes()
    if dtype == "F32":
        return values.astype("<f4").tobytes()
    if dtype == "F16":
        return values.astype("<f2").tobytes()
    return (values.astype("<f4").view("<u4") >> 16).astype("<u2").tobytes()  # BF16: the upper half


def from_bytes(data, dtype):
    if dtype == "F64":
        return np.frombuffer(data, "<f8").astype(np.float64)
    if dtype == "F32":
        return np.frombuffer(data, "<f4").astype(np.float64)
    if dtype == "F16":
        return np.frombuffer(data, "<f2").astype(np.float64)
    assert dtype == "BF16", dtype
    with np.errstate(invalid="ignore"):  # signalling NaNs
        return (np.frombuffer(data, "<u2").astype("<u4") << 16).view("<f4").astype(np.float64)


def write_checkpoint(path, tensors):
    header, blobs, offset = {}, [], 0
    for name in sorted(tensors):
        blob = to_bytes(tensors[name].values, tensors[name].dtype)
        header[name] = {
            "dtype": tensors[name].dtype,
            "shape": list(tensors[name].values.shape),
            "data_offsets": [offset, offset + len(blob)],
        }
        blobs.append(blob)
        offset += len(blob)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + b"".join(blobs))


def read_checkpoint(path):
    with open(path, "rb") as file:
        data = file.read()
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    header.pop("__metadata__", None)
    tensors = {}
    for name, entry in header.items():
        begin, end = (8 + length + offset for offset in entry["data_offsets"])
        values = from_bytes(data[begin:end], entry["dtype"]).reshape(entry["shape"])
        tensors[name] = Stored(entry["dtype"], values)
    return tensors
