#!/usr/bin/env python3
"""Writes the seed corpora of the GGUF, pickle and PyTorch archive fuzz targets.

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
    for path in (ROOT / "tests/data/gguf").glob("*.gguf"):
        shutil.copyfile(path, folder / path.stem)
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
    nested = (gguf.UINT8, [1])
    for _ in range(10):
        nested = (gguf.ARRAY, [nested])
    (folder / "deep").write_bytes(gguf.file(3, [("a", gguf.ARRAY, nested)], one, 32))
    (folder / "k_quant").write_bytes(gguf.file(3, [], [("w", (256,), 12, b"\0" * 144)], 32))
    (folder / "wraps").write_bytes(gguf.file(3, [], [("w", (2**32, 2**32), 0, b"\0" * 32)], 32))
    (folder / "empty").write_bytes(gguf.file(3, [], [("w", (0, 2**63), 0, b"")], 32))


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
    make_archives(make_pickles())
