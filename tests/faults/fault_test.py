"""Makes every call to the system fail once, one per run, and allocations in even steps, in merges,
conversions, adapters, verification and label and rank commands; then memory ends for good at some
allocation. Each run must end with exit code 1 and one sentence, and leave nothing in the final
place (or the whole output, where only the report of it lacked memory); a merge that goes on must
give the bits of one that nothing disturbed. A run may also not need what failed: then its result
must be right. Merges are also killed at every call that writes.

    fault_test.py BINARY SHIM [ALLOCATIONS]

ALLOCATIONS: about how many of a command fail (default 60); 0: every one.
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
ALLOCATIONS = int(sys.argv[3]) if len(sys.argv) > 3 else 60
KINDS = ("open", "read", "write", "sync", "rename", "reserve")
MEMORY = ("start", "allocate", "exhaust")


def write_model(path, seed, shapes={"a.weight": (300, 512), "b.weight": (64, 64), "norm": (17,)}):
    random = numpy.random.default_rng(seed)
    header, blobs, end = {}, [], 0
    for name, shape in shapes.items():
        blob = random.standard_normal(shape).astype(numpy.float32).tobytes()
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [end, end + len(blob)]}
        blobs.append(blob)
        end += len(blob)
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + b"".join(blobs))


def contents(place):
    if place is None:
        return None
    if place.is_dir():
        return {path.name: path.read_bytes() for path in sorted(place.iterdir())}
    return place.read_bytes()


class Command:
    def __init__(self, folder, words, place, resumes):
        self.folder, self.words, self.place, self.resumes = folder, words, place, resumes
        self.said = self.run([]).stdout
        self.expected = contents(place)
        self.clear()

    def is_there(self):
        return self.place is not None and self.place.exists()

    def is_whole(self):
        return self.is_there() and contents(self.place) == self.expected

    def beside(self):
        """The manifest of a single file."""
        return self.place.parent / f"{self.place.name}.manifest.json"

    def clear(self):
        if self.place is None:
            return
        for path in (self.place, self.beside(),
                     self.place.parent / f".{self.place.name}.partial"):
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)

    def run(self, more, environment=None):
        done = subprocess.run([BINARY, *self.words, *more], capture_output=True, text=True,
                              env=os.environ | (environment or {}), timeout=300)
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
            assert done.returncode == 1, where
            errors = [line for line in done.stderr.splitlines() if "error: " in line]
            assert len(errors) == 1 and errors[0].startswith("amalgam: error: "), where
            if kind not in MEMORY or not self.is_whole():
                assert not self.is_there(), where
                # Memory that ends is as a crash: a manifest may be there before its file.
                if self.place is not None and kind not in MEMORY:
                    assert not self.beside().exists(), where
                self.run(["--resume"] if self.resumes else [])
        else:
            assert done.stdout == self.said, where
        assert contents(self.place) == self.expected, where
        if "--manifest" in self.words and not self.place.is_dir():
            self.verify()
        self.clear()
        return mark.exists()

    def verify(self):
        done = subprocess.run([BINARY, "verify", str(self.place)], capture_output=True, text=True)
        assert done.returncode == 0, (self.words, done.stderr)

    def crash(self, kind, number):
        """Whether the call was made, and was the end: then a file in its place has its manifest,
        and another run makes what is missing."""
        mark = self.folder / "mark"
        mark.unlink(missing_ok=True)
        self.run(["--resume"], {"LD_PRELOAD": SHIM, "AMALGAM_FAULT": f"{kind}:{number}",
                                "AMALGAM_FAULT_FOLDER": str(self.folder / "work"),
                                "AMALGAM_FAULT_MARK": str(mark), "AMALGAM_FAULT_CRASH": "1"})
        if self.place.exists():
            self.verify()
        else:
            self.run(["--resume"])
        assert contents(self.place) == self.expected, (self.words, kind, number)
        self.verify()
        self.clear()
        return mark.exists()


def check_crashes(command):
    counts = {}
    for kind in ("write", "sync", "rename"):
        number = 1
        while command.crash(kind, number):
            number += 1
        counts[kind] = number - 1
    assert all(counts.values()), counts
    print(" ".join(command.words[:4]), "... killed:", counts)


def last_number(command, kind):
    """A number that no call of this kind reaches, at most by half too large."""
    number = 64
    while command.fail(kind, number):
        number += number // 2
    return number


def exhaust(command, kind):
    """Fails allocations in even steps."""
    wanted = ALLOCATIONS if kind == "allocate" else ALLOCATIONS // 10
    step = max(1, last_number(command, kind) // wanted) if ALLOCATIONS > 0 else 1
    number = 1
    while command.fail(kind, number):
        number += step
    return f"{(number - 1) // step} of {number - 1}"


def check(command):
    counts = {}
    for kind in KINDS:
        number = 1
        while command.fail(kind, number):
            number += 1
        counts[kind] = number - 1
    for kind in MEMORY:
        counts[kind] = exhaust(command, kind)
    print(" ".join(command.words[:4]), "...:", counts)


def check_missing_files(folder):
    """What the user named and is not there is bad input, not a failure."""
    nowhere, out = str(folder / "nowhere"), str(folder / "out")
    for words in (["merge", "-m", "linear", nowhere + ".safetensors", "-o", out],
                  ["convert", nowhere + ".safetensors", out + ".safetensors"],
                  ["label", "aggregate", nowhere + ".csv", "--out", out],
                  ["label", "weak", nowhere + ".csv", "--out", out],
                  ["label", "weak", nowhere + ".npy", "--out", out],
                  ["label", "weak", str(folder), "--out", out],
                  ["label", "bags", "fit", nowhere + ".csv", "--bag", "b", "--response", "y"],
                  ["rank", nowhere + ".csv"], ["rank", nowhere + ".json"]):
        done = subprocess.run([BINARY, *words], capture_output=True, text=True)
        assert done.returncode == 2 and "amalgam: error: " in done.stderr, (
            words, done.returncode, done.stderr)


def check_adapter(folder, work, base, tuned):
    adapter, file = str(work / "adapter"), work / "applied.safetensors"
    subprocess.run([BINARY, "lora", "extract", base, tuned, adapter, "--rank", "4", "--quiet"],
                   check=True)
    check(Command(folder, ["lora", "apply", base, adapter, str(file), "--threads", "2", "--quiet"],
                  file, False))


def write_dense(folder, seed):
    """A Llama of one layer, with a tokenizer."""
    shapes = {"model.embed_tokens.weight": (4, 8), "lm_head.weight": (4, 8), "model.norm.weight": (8,)}
    for name in ("input_layernorm", "post_attention_layernorm"):
        shapes[f"model.layers.0.{name}.weight"] = (8,)
    for name in "qkvo":
        shapes[f"model.layers.0.self_attn.{name}_proj.weight"] = (8, 8)
    for name in ("gate", "up", "down"):
        shapes[f"model.layers.0.mlp.{name}_proj.weight"] = (8, 16) if name == "down" else (16, 8)
    folder.mkdir()
    write_model(folder / "model.safetensors", seed, shapes)
    (folder / "config.json").write_text(json.dumps(dict(
        model_type="llama", hidden_size=8, intermediate_size=16, num_hidden_layers=1,
        num_attention_heads=1, vocab_size=4)))
    (folder / "tokenizer.json").write_text(json.dumps(dict(
        normalizer={"type": "NFC"}, pre_tokenizer={"type": "ByteLevel", "add_prefix_space": False},
        model=dict(type="BPE", vocab={"a": 0, "b": 1, "ab": 2}, merges=["a b"]))))
    return str(folder)


def check_moe(folder, work):
    base, expert = write_dense(work / "dense0", 0), write_dense(work / "dense1", 1)
    recipe, out = work / "moe.yml", work / "moe"
    recipe.write_text(json.dumps(dict(
        base_model=base, gate_mode="cheap_embed",
        experts=[dict(source_model=base, positive_prompts=["ab"]),
                 dict(source_model=expert, positive_prompts=["b"], noise_scale=0.1)])))
    check(Command(folder, ["moe", str(recipe), "-o", str(out), "--manifest", "--threads", "2",
                           "--quiet"], out, True))


def check_verify(folder, merge, out):
    subprocess.run([BINARY, *merge], check=True)
    check(Command(folder, ["verify", str(out), "--inputs", "--recompute", "3", "--sample-seed", "1",
                           "--threads", "2", "--quiet"], None, False))


def main():
    # In memory, where it can be: flushing thousands of times to a device takes minutes.
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(dir=memory) as name:
        folder = Path(name)
        check_missing_files(folder)
        work = folder / "work"
        work.mkdir()
        for seed in range(3):
            write_model(work / f"{seed}.safetensors", seed)
        base, *members = (str(work / f"{seed}.safetensors") for seed in range(3))
        ties = ["merge", "-m", "ties", "-b", base, *members, "-p", "weight=1", "-p", "density=0.4",
                "--threads", "2", "--quiet"]
        file, out = work / "out.safetensors", work / "out"
        check(Command(folder, [*ties, "-o", str(file)], file, True))
        with_manifest = Command(folder, [*ties, "-o", str(file), "--manifest"], file, True)
        check(with_manifest)
        check_crashes(with_manifest)
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
        numpy.save(work / "votes.npy",
                   numpy.random.default_rng(1).integers(-1, 2, (40, 5)).astype(numpy.int8))
        check(Command(folder, ["label", "weak", str(work / "votes.npy"), "--method", "zencrowd",
                               "--threads", "2", "--out", str(labels), "--quiet"], labels, False))
        (work / "scores.csv").write_text(
            "system,a,b,c\n" + "".join(f"s{s},{s * 0.1},{(s * 7 % 5) * 0.2},{1 - s * 0.05}\n"
                                       for s in range(8)))
        check(Command(folder, ["rank", str(work / "scores.csv"), "--threads", "2", "--json"], None,
                      False))
        check_adapter(folder, work, base, members[0])
        check_moe(folder, work)
        check_verify(folder, [*ties, "--manifest", "-o", str(out)], out)


main()
