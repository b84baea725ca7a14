"""Makes calls to the system and allocations fail, one per run, in every command, and kills merges
at every call that writes (faults.py says what must come of it).

    fault_test.py BINARY SHIM [--only NAME ...] [--calls N] [--allocations N] [--depth N]
                  [--kinds KIND ...] [--jobs N]

By default every call of every kind fails in most commands, a few in those that learn or take their
time, and some allocations; with --calls 0 and --allocations 0 every one of all. With --allocations
sites, one allocation fails of every place in the code, which is where the --depth innermost return
addresses are the same; commands run with one thread then, so that allocations keep their numbers.
"""

import argparse
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import fault_commands
from faults import ALLOCATIONS, CALLS, SITES, Command, check, contents

# How many of each kind fail every day (None: all): of most commands, of long ones, and of those
# that learn, of which copies begin after what takes a second.
USUAL = dict.fromkeys(CALLS) | {"start": 2, "allocate": 10, "malloc": 10, "exhaust": 2}
LONG = dict.fromkeys(CALLS, 12) | {"allocate": 5, "malloc": 5}
LEARNS = dict.fromkeys(CALLS) | {"allocate": 10, "malloc": 10, "exhaust": 2}
SOME_OF_LOADING = 200


def check_missing_files(program, folder):
    """What the user named and is not there is bad input, not a failure."""
    nowhere, out = str(folder / "nowhere"), str(folder / "out")
    for words in (["merge", "-m", "linear", nowhere + ".safetensors", "-o", out],
                  ["convert", nowhere + ".safetensors", out + ".safetensors"],
                  ["label", "aggregate", nowhere + ".csv", "--out", out],
                  ["label", "weak", nowhere + ".csv", "--out", out],
                  ["label", "weak", nowhere + ".npy", "--out", out],
                  ["label", "weak", str(folder), "--out", out],
                  ["label", "bags", "fit", nowhere + ".csv", "--bag", "b", "--response", "y"],
                  ["rank", nowhere + ".csv"], ["rank", nowhere + ".json"],
                  ["rank", "pool", "info", nowhere + ".sqlite"]):
        done = subprocess.run([program, *words], capture_output=True, text=True)
        assert done.returncode == 2 and "amalgam: error: " in done.stderr, (
            words, done.returncode, done.stderr)


def verify(command):
    done = subprocess.run([command.program, "verify", str(command.folder / "out.safetensors")],
                          capture_output=True, text=True)
    assert done.returncode == 0, (command.words, done.stderr)


def crash(command, kind, number):
    """Whether the call was made, and was the end: then a file in its place has its manifest, and
    another run makes what is missing."""
    command.mark.unlink(missing_ok=True)
    command.run(command.fault(kind, number) | {"AMALGAM_FAULT_CRASH": "1"})
    if (command.folder / "out.safetensors").exists():
        verify(command)
    else:
        again = command.run({})
        assert again.returncode == 0, (command.words, kind, number, again.stderr)
    now = {name: bytes for name, bytes in contents(command.folder).items()
           if ".partial" not in name}
    assert now == command.after, (command.words, kind, number)
    command.restore()
    return command.mark.exists()


def check_crashes(command):
    failed = {}
    for kind in ("write", "sync", "rename"):
        number = 1
        while crash(command, kind, number):
            number += 1
        failed[kind] = number - 1
    assert all(failed.values()), failed
    return sum(failed.values())


def with_one_thread(words):
    return ["1" if before == "--threads" else word for before, word in zip(["", *words], words)]


def number_or_sites(text):
    return SITES if text == SITES else int(text)


class Checks:
    def __init__(self, options, work):
        self.options, self.work = options, work
        self.failed = {}  # calls of each kind
        self.started = set()  # with the learning library (True) and without
        self.lock = threading.Lock()

    def __call__(self, run):
        """Checks one run; what was found wrong, and a line that says what was done."""
        begin = time.monotonic()
        try:
            words = fault_commands.make_inputs(self.options.binary, run, self.work)
            by_sites = self.options.allocations == SITES
            if by_sites:
                words = with_one_thread(words)
            command = Command(self.options.binary, self.options.shim, self.work, run.name, words,
                              run.resumes, run.keeps, run.ends_in_c,
                              self.options.depth if by_sites else 0)
            wrong, failed = check(command, self.most(run, command))
            if run.name == "merge-file-manifest" and self.options.kinds is None:
                failed["killed"] = (check_crashes(command),) * 2
        except AssertionError as error:
            return [error], run.name
        except subprocess.CalledProcessError as error:
            return [(error.cmd, error.stderr)], run.name
        self.add(failed)
        shown = ", ".join(f"{kind} {hit} of {count}" for kind, (hit, count) in failed.items())
        return wrong, f"{run.name}: {shown}; {time.monotonic() - begin:.1f} s"

    def add(self, failed):
        for kind, (hit, _) in failed.items():
            self.failed[kind] = self.failed.get(kind, 0) + hit

    def most(self, run, command):
        most = LEARNS if run.learns else LONG if run.long else USUAL
        if self.options.calls is not None:
            most = most | dict.fromkeys(CALLS, self.options.calls or None)
        if self.options.allocations is not None:
            most = most | dict.fromkeys(ALLOCATIONS, self.options.allocations or None)
        if self.options.allocations == SITES:
            most = most | self.most_of_start(command.counts["load"] > 0)
        if self.options.kinds is not None:
            most = {kind: limit for kind, limit in most.items() if kind in self.options.kinds}
        return most

    def most_of_start(self, loads):
        """All commands begin by describing their options, and those that learn by loading the same
        library, which fills its own tables: places that are the same in all of them."""
        with self.lock:
            first = loads not in self.started
            self.started.add(loads)
        return {"start": SITES if first else 10, "load": SOME_OF_LOADING if first and loads else 1}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("binary")
    parser.add_argument("shim")
    parser.add_argument("--only", nargs="*")
    parser.add_argument("--calls", type=int)
    parser.add_argument("--allocations", type=number_or_sites)
    parser.add_argument("--depth", type=int, default=8)
    parser.add_argument("--kinds", nargs="*", choices=CALLS + ALLOCATIONS)
    parser.add_argument("--shown", type=int, default=5, help="faults to show of a command")
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args()
    runs = fault_commands.runs_of_all(options.binary)
    if options.only:
        runs = [run for run in runs if run.name in options.only]
    with tempfile.TemporaryDirectory(dir=fault_commands.memory_folder()) as name:
        check_missing_files(options.binary, Path(name))
        work = Path(name) / "work"
        work.mkdir()
        shared = work / "shared"
        fault_commands.make_shared(options.binary, shared, any(run.learns for run in runs))
        before = contents(shared)
        found = 0
        checks = Checks(options, work)
        with ThreadPoolExecutor(options.jobs) as pool:
            for wrong, line in pool.map(checks, runs):
                print(line, flush=True)
                for error in wrong[:options.shown]:
                    print("  WRONG:", error, flush=True)
                found += len(wrong)
        assert contents(shared) == before, "an input changed"
        print(f"{len(runs)} commands; failed: {checks.failed}")
    sys.exit(1 if found else 0)


main()
