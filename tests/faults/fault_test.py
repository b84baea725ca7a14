"""Makes every call to the system fail once, one per run, and allocations in even steps, in merges,
conversions and label and rank commands. Each run must end with exit code 1 and one sentence, and
leave nothing in the final place; a merge that goes on must give the bits of one that nothing
disturbed. A run may also not need what failed: then its result must be right.

    fault_test.py BINARY SHIM [ALLOCATIONS]

ALLOCATIONS: about how many of them fail per command (default 40).
"""

import json
import os
import shutil
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy

BINARY, SHIM = sys.argv[1:3]
ALLOCATIONS = int(sys.argv[3]) if len(sys.argv) > 3 else 40
KINDS = ("open", "read", "write", "sync", "rename", "reserve")


def write_model(path, seed):
    random = numpy.random.default_rng(seed)
    header, blobs, end = {}, [], 0
    for name, shape in {"a.weight": (300, 512), "b.weight": (64, 64), "norm": (17,)}.items():
        blob = random.standard_normal(shape).astype(numpy.float32).tobytes()
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [end, end + len(blob)]}
        blobs.append(blob)
        end += len(blob)
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + b"".join(blobs))


def contents(place):
    if place.is_dir():
        return {path.name: path.read_bytes() for path in sorted(place.iterdir())}
    return place.read_bytes()


class Command:
    def __init__(self, folder, words, place, resumes):
        self.folder, self.words, self.place, self.resumes = folder, words, place, resumes
        self.run([])
        self.expected = contents(place)
        self.clear()

    def clear(self):
        for path in (self.place, self.place.parent / f".{self.place.name}.partial"):
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)

    def run(self, more, environment=None):
        done = subprocess.run([BINARY, *self.words, *more], capture_output=True, text=True,
                              env=os.environ | (environment or {}))
        if environment is None:
            assert done.returncode == 0, (self.words, done.stderr)
        return done

    def fail(self, kind, number):
        """Whether the call was made; checks what came of its failure."""
        mark = self.folder / "mark"
        mark.unlink(missing_ok=True)
        done = self.run(["--resume"] if self.resumes else [],
                        {"LD_PRELOAD": SHIM, "AMALGAM_FAULT": f"{kind}:{number}",
                         "AMALGAM_FAULT_FOLDER": str(self.folder / "work"),
                         "AMALGAM_FAULT_MARK": str(mark)})
        where = (self.words, kind, number, done.returncode, done.stderr)
        if done.returncode != 0:
            assert mark.exists(), where
            # Tables are read through streams, which do not say why they cannot be opened.
            table = kind == "open" and ".csv: cannot be opened" in done.stderr
            assert done.returncode == (2 if table else 1), where
            errors = [line for line in done.stderr.splitlines() if "error: " in line]
            assert len(errors) == 1 and errors[0].startswith("amalgam: error: "), where
            assert not self.place.exists(), where
            self.run(["--resume"] if self.resumes else [])
        assert contents(self.place) == self.expected, where
        self.clear()
        return mark.exists()


def check(command):
    counts = {}
    for kind in KINDS:
        number = 1
        while command.fail(kind, number):
            number += 1
        counts[kind] = number - 1
    # Allocations are too many to fail each: in steps, finer at first, until none is left.
    number, failed = 1, 0
    while command.fail("allocate", number):
        failed += 1
        number += max(1, number * 8 // ALLOCATIONS)
    counts["allocate"] = f"{failed} of about {number}"
    print(" ".join(command.words[:4]), "...:", counts)


def main():
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        work = folder / "work"
        work.mkdir()
        for seed in range(3):
            write_model(work / f"{seed}.safetensors", seed)
        base, *members = (str(work / f"{seed}.safetensors") for seed in range(3))
        ties = ["merge", "-m", "ties", "-b", base, *members, "-p", "weight=1", "-p", "density=0.4",
                "--threads", "2", "--quiet"]
        file, out = work / "out.safetensors", work / "out"
        check(Command(folder, [*ties, "-o", str(file)], file, True))
        check(Command(folder, [*ties, "-o", str(out), "--shard-size", "100kB", "--manifest"], out,
                      True))
        check(Command(folder, ["convert", base, str(file), "--dtype", "bf16", "--quiet"], file,
                      False))
        (work / "votes.csv").write_text(
            "task,worker,label\n"
            + "".join(f"t{t},w{w},{(t * 7 + w * (t % 3)) % 2}\n" for t in range(50)
                      for w in range(4)))
        labels = work / "labels.csv"
        check(Command(folder, ["label", "aggregate", str(work / "votes.csv"), "--method",
                               "dawid-skene", "--threads", "2", "--out", str(labels), "--quiet"],
                      labels, False))


main()
