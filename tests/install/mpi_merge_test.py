"""A merge that several processes share gives the bits of one process; if one of them dies the job
ends, and --resume goes on with what it left.

    mpi_merge_test.py BINARY MPIEXEC
"""

import filecmp
import json
import os
import signal
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy

BINARY, MPIEXEC = sys.argv[1:3]

# For containers: Open MPI refuses to run as root, or more processes than processors, unless told.
os.environ |= {
    "OMPI_ALLOW_RUN_AS_ROOT": "1",
    "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
    "OMPI_MCA_rmaps_base_oversubscribe": "1",
    "OMPI_MCA_btl": "self,vader,tcp",
    "OMPI_MCA_btl_vader_single_copy_mechanism": "none",
}


def write_model(path, seed, rows, change=lambda values: values):
    random = numpy.random.default_rng(seed)
    header, blobs, end = {}, [], 0
    shapes = {f"layers.{i}.weight": (rows, 512) for i in range(5)}
    shapes |= {"embedding.weight": (4 * rows, 512), "norm.weight": (512,)}
    for name, shape in sorted(shapes.items()):
        blob = change(random.standard_normal(shape)).astype(numpy.float32).tobytes()
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [end, end + len(blob)]}
        blobs.append(blob)
        end += len(blob)
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + b"".join(blobs))


def run(words, processes=None, code=0):
    launcher = [MPIEXEC, "-n", str(processes)] if processes else []
    done = subprocess.run(launcher + [BINARY, *words], capture_output=True, text=True)
    assert done.returncode == code, (words, processes, done.returncode, done.stderr)
    return done


def same(a, b):
    names = sorted(path.name for path in a.iterdir())
    assert names == sorted(path.name for path in b.iterdir()), (a, b)
    for name in names:
        assert filecmp.cmp(a / name, b / name, shallow=False), (a / name, b / name)


def the_bits_of_one_process(folder):
    for seed in range(3):
        write_model(folder / f"{seed}.safetensors", seed, 700)
        write_model(folder / f"fisher{seed}.safetensors", seed, 700, numpy.abs)
    base, *members = (str(folder / f"{seed}.safetensors") for seed in range(3))
    parameters = ["-p", "weight=0.7,0.4", "-p", "density=0.4"]
    methods = {
        "ties": ["-m", "ties", "-b", base, *members, *parameters],  # statistics per tensor
        # Of the whole model, all of which the processes share: thresholds, also in little memory,
        # norms with the random masks that they are of, thresholds and signs after such, norms of
        # other files, distances.
        "paper": ["-m", "ties", "-b", base, *members, *parameters, "-p", "dialect=paper"],
        "little": ["-m", "ties", "-b", base, *members, *parameters, "-p", "scope=model",
                   "--memory", "64MB"],
        "norms": ["-m", "dare_ties", "-b", base, *members, *parameters, "-p", "scope=model",
                  "-p", "trim_density=0.2", "-p", "rescale=true"],
        "signs": ["-m", "dare_ties", "-b", base, *members, *parameters, "-p", "dialect=paper"],
        "fisher": ["-m", "fisher", *members,
                   "-p", ",".join([f"fisher={folder}/fisher1.safetensors",
                                   f"{folder}/fisher2.safetensors"])],
        "krum": ["-m", "krum", base, *members, "-p", "f=0"],
        "dare": ["-m", "dare_linear", "-b", base, *members, *parameters],  # none
        "della": ["-m", "della", "-b", base, *members, *parameters],  # rows
        "median": ["-m", "geometric_median", base, *members],  # many passes
    }
    for name, words in methods.items():
        alone = folder / f"{name}-alone"
        done = run(["merge", *words, "-o", str(alone), "--shard-size", "3MB", "--json"])
        read = json.loads(done.stdout)["bytes_read"]
        for processes in (1, 2, 3):
            shared = folder / f"{name}-{processes}"
            done = run(["merge", *words, "-o", str(shared), "--shard-size", "3MB", "--threads", "1",
                        "--json"], processes)
            report = json.loads(done.stdout)  # printed once
            assert report["bytes_written"] == (9 * 700 + 1) * 512 * 4, report
            assert report["bytes_read"] <= 1.02 * read, (name, processes, report, read)
            same(alone, shared)
            assert not (folder / f".{shared.name}.partial").exists()


def quantised_bits(folder):
    """FP8 with scales, whose leaves hang together, and mixtures in several files."""
    base, *members = (str(folder / f"{seed}.safetensors") for seed in range(3))
    merges = {
        "fp8": (["-m", "linear", base, *members, "-p", "weight=1", "--dtype", "fp8_block"], "out"),
        "fp8-model": (["-m", "ties", "-b", base, *members, "-p", "weight=1", "-p", "density=0.4",
                       "-p", "dialect=paper", "--dtype", "fp8_tensor"], "out"),
        "mixture": (["-m", "linear", base, *members, "-p", "weight=1", "--dtype", "q4_k_m",
                     "--shard-size", "300kB"], "out.gguf"),
    }
    for name, (words, output) in merges.items():
        made = {}
        for processes in (None, 2, 3):
            made[processes] = folder / f"{name}-{processes}"
            made[processes].mkdir()
            run(["merge", *words, "-o", str(made[processes] / output), "--quiet"], processes)
        for processes in (2, 3):
            if output == "out":
                same(made[None] / output, made[processes] / output)
            else:
                assert len(list(made[None].iterdir())) > 2
                same(made[None], made[processes])


def processes_of(place):
    """The processes that write `place`."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            words = (entry / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if words[0] == BINARY.encode() and str(place).encode() in words:
            found.append(int(entry.name))
    return sorted(found)


def a_process_that_dies(folder):
    for seed in range(3):
        write_model(folder / f"large{seed}.safetensors", seed, 5000)
    base, *members = (str(folder / f"large{seed}.safetensors") for seed in range(3))
    words = ["merge", "-m", "ties", "-b", base, *members, "-p", "weight=1", "-p", "density=0.4",
             "--threads", "1"]
    whole, place = folder / "whole.safetensors", folder / "killed.safetensors"
    run([*words, "-o", str(whole)])
    journal = folder / ".killed.safetensors.partial" / "journal.1"
    interrupted = 0
    for _ in range(3):
        job = subprocess.Popen([MPIEXEC, "-n", "3", BINARY, *words, "-o", str(place)],
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while job.poll() is None and not (journal.exists() and journal.stat().st_size > 2000):
            time.sleep(0.002)
        running = processes_of(place)
        if job.poll() is None and len(running) == 3:
            os.kill(running[-1], signal.SIGKILL)
        code = job.wait(timeout=120)
        while processes_of(place):
            time.sleep(0.05)
        if code == 0:  # it was done before
            place.unlink()
            continue
        interrupted += 1
        assert not place.exists()
        done = run([*words, "-o", str(place), "--resume", "--json"], 2)
        assert json.loads(done.stdout)["bytes_kept"] > 0, done.stdout
        assert filecmp.cmp(whole, place, shallow=False)
        place.unlink()
    assert interrupted > 0


def errors(folder):
    done = run(["merge", "-m", "linear", str(folder / "absent.safetensors"), "-p", "weight=1", "-o",
                str(folder / "x.safetensors")], 2, code=2)
    assert "absent.safetensors" in done.stderr, done.stderr
    assert not (folder / "x.safetensors").exists()
    # Found by the process whose part it is in, while the others wait for what it has to send.
    for place in (0, -1):
        def spoilt(values):
            values.reshape(-1)[place] = numpy.nan
            return values
        write_model(folder / "nan.safetensors", 9, 700, spoilt)
        base, member = folder / "0.safetensors", folder / "nan.safetensors"
        done = run(["merge", "-m", "ties", "-b", str(base), str(member), "-p", "weight=1",
                    "-p", "dialect=paper", "-o", str(folder / "x.safetensors")], 2, code=2)
        assert "nan.safetensors: tensor '" in done.stderr, done.stderr
        assert not (folder / "x.safetensors").exists()


def main():
    probe = subprocess.run([MPIEXEC, "-n", "2", "true"], capture_output=True, text=True)
    if probe.returncode != 0:
        print("this machine's MPI starts no processes:", probe.stderr)
        sys.exit(77)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        the_bits_of_one_process(folder)
        quantised_bits(folder)
        a_process_that_dies(folder)
        errors(folder)


main()
