#!/usr/bin/env python3
"""Writes the seed corpora of the fuzz targets of GGUF, importance matrices, quantisers, pickles and PyTorch archives.

python3 scripts/make_gguf_torch_corpus.py
Needs only Python: the PyTorch files come from tests/data/torch/, where a real PyTorch made them.
"""

import collections
import pathlib
import pickle
import shutil
import struct
import sys
import zipfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
CORPUS = ROOT / "fuzz" / "corpus"
sys.path.insert(0, str(ROOT / "tests" / "data"))

import make_gguf_fixtures as gguf  # noqa: E402


QUANTISED = {10: (256, 84), 11: (256, 110), 12: (256, 144), 13: (256, 176), 14: (256, 210), 15: (256, 292),
             16: (256, 66), 17: (256, 74), 18: (256, 98), 19: (256, 50), 20: (32, 18), 21: (256, 110),
             22: (256, 82), 23: (256, 136), 29: (256, 56), 34: (256, 54), 35: (256, 66), 39: (32, 17)}


class Anything:
    """Pickled as a global that is refused."""

    def __reduce__(self):
        return eval, ("1",)


def fresh(name):
    folder = CORPUS / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def make_gguf():
    folder = fresh("gguf")
    for path in (ROOT / "tests/data/gguf").glob("v*.gguf"):
        shutil.copyfile(path, folder / path.stem)
    # A block of every type that is only decoded or has large blocks: elements, bytes.
    for number, (elements, size) in QUANTISED.items():
        block = bytes((37 * i + number) % 251 for i in range(size))
        (folder / f"type_{number}").write_bytes(gguf.file(3, [], [("w", (1, elements), number, block)], 32))
    one = gguf.TENSORS[:1]
    (folder / "nothing").write_bytes(gguf.file(3, [], [], 32))
    (folder / "one").write_bytes(gguf.file(3, [], one, 32))
    for number in (0, 24, 2**31, 2**20):
        (folder / f"alignment_{number}").write_bytes(
            gguf.file(3, [("general.alignment", gguf.UINT32, number)], one, 32))
    (folder / "alignment_text").write_bytes(
        gguf.file(3, [("general.alignment", gguf.STRING, "32")], one, 32))
    (folder / "twice").write_bytes(gguf.file(3, [("a", gguf.BOOL, True)] * 2, one * 2, 32))
    (folder / "big_endian").write_bytes(b"GGUF" + struct.pack(">IQQ", 3, 0, 0))
    (folder / "many").write_bytes(b"GGUF" + struct.pack("<IQQ", 3, 2**63, 2**63))
    (folder / "long_array").write_bytes(
        b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + gguf.string("a") + struct.pack("<IIQ", 9, 4, 2**63))
    header = b"GGUF" + struct.pack("<IQQ", 3, 0, 1)
    key = header + gguf.string("general.alignment")
    (folder / "alignment_float").write_bytes(key + struct.pack("<If", 6, 32.0))
    (folder / "alignment_bool").write_bytes(key + struct.pack("<IB", 7, 2))
    (folder / "alignment_array").write_bytes(key + struct.pack("<IIQI", 9, 4, 1, 32))
    (folder / "alignment_2_63").write_bytes(key + struct.pack("<IQ", 10, 2**63))
    (folder / "long_array_of_text").write_bytes(key + struct.pack("<IIQ", 9, 8, 2**61))
    (folder / "array_of_no_type").write_bytes(key + struct.pack("<IIQ", 9, 99, 1))
    (folder / "type_99").write_bytes(key + struct.pack("<I", 99))
    (folder / "long_text").write_bytes(key + struct.pack("<IQ", 8, 2**64 - 1))
    (folder / "long_key").write_bytes(header + struct.pack("<Q", 2**64 - 8))
    tensor = b"GGUF" + struct.pack("<IQQ", 3, 1, 0) + gguf.string("w")
    (folder / "offset_wraps").write_bytes(tensor + struct.pack("<IQIQ", 1, 8, 0, 2**64 - 32) + bytes(64))
    (folder / "bytes_wrap").write_bytes(tensor + struct.pack("<IQQIQ", 2, 2**61, 2, 0, 0) + bytes(64))
    (folder / "many_dimensions").write_bytes(tensor + struct.pack("<I", 2**32 - 1) + bytes(64))
    (folder / "no_such_type").write_bytes(tensor + struct.pack("<IQIQ", 1, 8, 4, 0) + bytes(64))
    (folder / "half_block").write_bytes(tensor + struct.pack("<IQIQ", 1, 33, 8, 0) + bytes(64))
    nested = (gguf.UINT8, [1])
    for _ in range(10):
        nested = (gguf.ARRAY, [nested])
    (folder / "deep").write_bytes(gguf.file(3, [("a", gguf.ARRAY, nested)], one, 32))
    (folder / "k_quant").write_bytes(gguf.file(3, [], [("w", (256,), 12, b"\0" * 144)], 32))
    (folder / "wraps").write_bytes(gguf.file(3, [], [("w", (2**32, 2**32), 0, b"\0" * 32)], 32))
    (folder / "empty").write_bytes(gguf.file(3, [], [("w", (0, 2**63), 0, b"")], 32))


def floats(*values):
    return struct.pack(f"<{len(values)}f", *values)


def make_imatrices():
    folder = fresh("imatrix")
    entry = struct.pack("<i1sii", 1, b"w", 2, 4) + floats(1, 2, 3, 4)
    (folder / "legacy").write_bytes(struct.pack("<i", 1) + entry)
    (folder / "with_end").write_bytes(struct.pack("<i", 1) + entry + struct.pack("<ii4s", 7, 4, b"wiki"))
    (folder / "twice").write_bytes(struct.pack("<i", 2) + entry + entry)
    tensors = [("w.in_sum2", (2, 4), 0, floats(*range(8))), ("w.counts", (2, 1), 0, floats(2, 0))]
    (folder / "gguf").write_bytes(gguf.file(3, [("general.type", gguf.STRING, "imatrix")], tensors, 32))
    (folder / "no_counts").write_bytes(gguf.file(3, [], tensors[:1], 32))


def make_numbers():
    folder = fresh("quantise")
    (folder / "ramp").write_bytes(floats(*[(i % 97 - 48) * 0.01 for i in range(768)]))
    (folder / "wide").write_bytes(floats(*[(-1) ** i * 2.0 ** (i % 60 - 40) for i in range(768)]))
    (folder / "bad").write_bytes(floats(*[float("nan") if i == 300 else 1.0 for i in range(600)]))
    (folder / "huge").write_bytes(floats(*[3e38 if i % 200 == 7 else -1e-44 for i in range(768)]))


def make_pickles():
    folder = fresh("pickle")
    for path in sorted((ROOT / "tests/data/torch").iterdir()):
        if path.stem == "script" or not zipfile.is_zipfile(path):
            continue
        with zipfile.ZipFile(path) as archive:
            (folder / path.stem).write_bytes(archive.read(f"{path.stem}/data.pkl"))
    values = {"a": [1, -1, 300, 2**40, 2**70, 0.5, None, True], "b": (b"x", "y" * 300, ()),
              3: collections.OrderedDict(c=[[], {}])}
    for protocol in range(2, 6):
        (folder / f"plain_{protocol}").write_bytes(pickle.dumps(values, protocol))
        (folder / f"forbidden_{protocol}").write_bytes(pickle.dumps(Anything(), protocol))
    knot = []
    knot.append(knot)
    (folder / "knot").write_bytes(pickle.dumps(knot, 2))
    (folder / "deep").write_bytes(b"\x80\x02" + b"]" * 100 + b"a" * 99 + b".")
    return folder


def make_archives(pickles):
    folder = fresh("torch_archive")
    for path in (ROOT / "tests/data/torch").iterdir():
        shutil.copyfile(path, folder / f"{path.stem}_file")
    for path in pickles.iterdir():
        shutil.copyfile(path, folder / f"{path.name}_pickle")


if __name__ == "__main__":
    make_gguf()
    make_imatrices()
    make_numbers()
    make_archives(make_pickles())
