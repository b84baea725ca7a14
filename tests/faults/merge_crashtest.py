"""Kills merges at random moments and compares what --resume gives with a run that nothing disturbed.
Recipe, types, budget, threads and moments are drawn by seed.

    merge_crashtest.py BINARY [--seed S] [--rounds N | --minutes M]
"""

import argparse
import json
import random
import shutil
import signal
import struct
import subprocess
import tempfile
import time
from pathlib import Path

import numpy

# What outputs are written as: None as what the inputs are.
FLOATING = [None, None, "bf16", "f16", "f32", "fp8_block", "fp8_channel", "fp8_tensor"]
QUANTISED = ["f16", "bf16", "q8_0", "q4_0", "q5_1", "q2_k", "q3_k", "q4_k", "q6_k", "iq4_nl", "iq4_xs",
             "q3_k_m", "q4_k_m", "q5_k_m"]


def write_model(path, draw, shapes, dtype):
    numbers = numpy.random.default_rng(draw.getrandbits(32))
    header, blobs, end = {}, [], 0
    for name, shape in sorted(shapes.items()):
        values = numbers.standard_normal(shape).astype(numpy.float32)
        if dtype == "BF16":
            blob = (values.view(numpy.uint32) >> 16).astype(numpy.uint16).tobytes()
        else:
            blob = values.astype({"F16": numpy.float16, "F32": numpy.float32,
                                  "F64": numpy.float64}[dtype]).tobytes()
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [end, end + len(blob)]}
        blobs.append(blob)
        end += len(blob)
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + b"".join(blobs))


def drawn_merge(draw, folder):
    """The words of a merge whose inputs lie in `folder`."""
    shapes = {f"layers.{i}.weight": (draw.randint(1, 900), draw.choice([1, 64, 513, 1024]))
              for i in range(draw.randint(1, 8))}
    shapes["embedding.weight"] = (draw.randint(100, 4000), 600)
    shapes["norm.weight"] = (draw.randint(1, 2000),)
    files = []
    for i in range(draw.randint(3, 5)):
        files.append(str(folder / f"{i}.safetensors"))
        write_model(Path(files[-1]), draw, shapes, draw.choice(["F32", "F32", "BF16", "F16", "F64"]))
    base, members = files[0], files[1:]
    weight, density = ["-p", "weight=0.6"], ["-p", "density=0.3"]
    methods = [
        ["linear", *members, *weight],
        ["ties", "-b", base, *members, *weight, *density],
        ["ties", "-b", base, *members, *weight, *density, "-p", "dialect=paper"],
        ["dare_ties", "-b", base, *members, *weight, *density],
        ["della", "-b", base, *members, *weight, *density],
        ["breadcrumbs", "-b", base, *members, *weight, *density],
        ["model_stock", "-b", base, *members],
        ["sce", "-b", base, *members, "-p", "select_topk=0.4"],
        ["geometric_median", *members],
        ["slerp", "-b", base, members[0], "-p", "t=0.4"],
    ]
    words = ["merge", "-m", *draw.choice(methods), "--seed", str(draw.randint(0, 9)), "--quiet"]
    shape = draw.choice(["out.safetensors", "out", "out", "out.gguf"])
    dtype = draw.choice(QUANTISED if shape == "out.gguf" else FLOATING)
    if dtype:
        words += ["--dtype", dtype]
    if draw.random() < 0.3:
        words.append("--manifest")
    words += ["--shard-size", draw.choice(["500kB", "2MB", "5GB"])]
    return words, shape


def run_settings(draw):
    return ["--threads", str(draw.randint(1, 4)), "--memory", draw.choice(["64MB", "200MB", "1GB"])]


def is_made(place):
    """Whether the output is there: of a split one the first part, which comes into place at last."""
    return place.exists() or any(place.parent.glob(f"{place.stem}-00001-of-*"))


def contents(place):
    folder = place if place.is_dir() else place.parent
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())
            if path.is_file() and (place.is_dir() or not path.name.endswith(".manifest.json"))}


def play(binary, seed):
    """One merge, killed up to four times; how often it was killed before its end."""
    draw = random.Random(seed)
    killed = 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        words, shape = drawn_merge(draw, folder)
        place = folder / "made" / shape
        begin = time.monotonic()
        subprocess.run([binary, *words, "-o", place, *run_settings(draw)], check=True)
        seconds = time.monotonic() - begin
        whole = contents(place)
        shutil.rmtree(place.parent)
        for _ in range(draw.randint(1, 4)):
            job = subprocess.Popen([binary, *words, "-o", place, "--resume", *run_settings(draw)],
                                   stderr=subprocess.DEVNULL)
            try:
                job.wait(timeout=seconds * draw.random())
            except subprocess.TimeoutExpired:
                job.send_signal(signal.SIGKILL)
                job.wait()
            if is_made(place):
                if "--manifest" in words and not place.is_dir():
                    assert (place.parent / f"{shape}.manifest.json").exists(), (seed, words)
                break
            killed += 1
        if not is_made(place):
            done = subprocess.run([binary, *words, "-o", place, "--resume", *run_settings(draw)],
                                  capture_output=True, text=True)
            assert done.returncode == 0, (seed, words, done.stderr)
        assert contents(place) == whole, f"seed {seed}: other bits: {' '.join(map(str, words))}"
        left = [path.name for path in place.parent.iterdir()]
        allowed = {shape, f"{shape}.manifest.json", *whole}
        assert set(left) <= allowed | {f".{shape}.partial"}, (seed, left)
    return killed


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("binary")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--minutes", type=float)
    options = parser.parse_args()
    end = time.monotonic() + 60 * (options.minutes or 0)
    rounds = killed = 0
    while time.monotonic() < end if options.rounds is None else rounds < options.rounds:
        seed = options.seed + rounds
        kills = play(options.binary, seed)
        rounds += 1
        killed += kills
        print(f"seed {seed}: killed {kills} times", flush=True)
    print(f"{rounds} merges, killed {killed} times, all with the bits of one that was not")
    assert rounds > 0 and killed > 0


main()
