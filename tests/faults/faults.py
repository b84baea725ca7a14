"""Commands in which one call to the system, or one allocation, fails, and what must come of it.

A failed run ends with exit code 1 and one sentence. Of every output there is what was there before,
or all of the new one; no input has changed, and nothing else has come to be, except what `--resume`
goes on with or, where memory ended, what a crash would leave. Run again, the command gives the bits
of a run that nothing disturbed. A run may also not need what failed: then its result must be right.
"""

import os
import re
import shutil
import signal
import sqlite3
import subprocess
import tempfile
from pathlib import Path

from fault_server import MOST, Server

CALLS = ("open", "read", "write", "sync", "rename", "reserve", "folder", "status")
ALLOCATIONS = ("start", "load", "allocate", "malloc", "exhaust")
SITES = "sites"  # every place in the code once
NEVER = 10**15  # the number of a call that no run makes
# Where C libraries end the process themselves, before anything can catch it.
THIRD_PARTY_ENDS = ("Fatal glibc error: ", "cannot allocate memory for thread-local data: ABORT",
                    "libgomp: Out of memory")
# Libraries that wait for ever as they report that memory lacks, and those that use what they asked
# for without looking whether they got it, or abort.
WAITING_LIBRARIES = ("libglib-2.0.so",)
CRASHING_LIBRARIES = ("libcrypto.so", "libdnnl.so", "libglib-2.0.so", "libtorch_cpu.so")
UNFINISHED = re.compile(r"(^|/)\.[^/]+\.(partial|resume|state)\b")


def database_contents(path):
    """What a SQLite database holds for its next reader, who goes back to before what was not
    finished; two that hold the same may differ in bytes."""
    with tempfile.TemporaryDirectory() as name:
        copy = Path(name) / path.name
        for end in ("", "-journal"):
            beside = path.parent / (path.name + end)
            if beside.exists():
                shutil.copy(beside, Path(name) / beside.name)
        database = sqlite3.connect(copy)
        try:
            return "\n".join(database.iterdump()).encode()
        finally:
            database.close()


def contents(folder):
    """Files and folders below, by their names in it; of folders None."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.is_dir():
            found[name] = None
        elif path.suffix == ".sqlite":
            found[name] = database_contents(path)
        elif path.suffix == ".html":
            found[name] = re.sub(rb"\d+ seconds", b"", path.read_bytes())
        elif not name.endswith("-journal"):
            found[name] = path.read_bytes()
    return found


def without_seconds(done):
    """A run without what it says of the time it took."""
    if done.stdout is not None:
        done.stdout = re.sub(r'"\w*seconds": [^,\n]*|\d+(\.\d+)? s\b', "", done.stdout)
    return done


class Command:
    """`words` in which {} is the command's folder, made by `inputs`; all that a good run changes
    or makes there is its output."""

    def __init__(self, program, shim, work, name, words, resumes=False, keeps=(),
                 ends_in_c=False, depth=0):
        self.program, self.work, self.name = program, work, name
        self.keeps, self.ends_in_c = keeps, ends_in_c
        self.data = {"AMALGAM_DATA": str(work / "shared"), "OPENBLAS_NUM_THREADS": "1"}
        self.folder = work / name
        self.words = [word.replace("{}", str(self.folder)) for word in words]
        self.resumes = resumes
        self.mark = work.parent / f"{name}.mark"
        self.before = contents(self.folder)
        self.databases = {path.name: path.read_bytes() for path in self.folder.glob("*.sqlite")}
        self.server = None
        self.preloaded = {"LD_PRELOAD": shim, "AMALGAM_FAULT_FOLDER": str(work),
                          "AMALGAM_FAULT_MARK": str(self.mark)}
        self.counts, self.sites, done = self.count(depth)
        self.said = done.stdout
        self.after = contents(self.folder)
        self.outputs = {name for name in self.after.keys() | self.before.keys()
                        if self.after.get(name, b"") != self.before.get(name, b"")
                        or (name in self.after) != (name in self.before)}
        self.restore()
        if depth > 0:
            self.count_again(depth)

    def count_again(self, depth):
        """Until two counts in a row agree: a time in the output is not always as long."""
        for _ in range(5):
            before = self.counts, self.sites
            self.counts, self.sites, _ = self.count(depth)
            self.restore()
            if (self.counts, self.sites) == before:
                return
        raise AssertionError(("runs differ in what they allocate", self.words))

    def count(self, depth):
        """How many calls of each kind a run makes, which ones are the first allocations of their
        place in the code (`depth` return addresses), and the run."""
        counts = self.work.parent / f"{self.name}.counts"
        done = self.run(self.preloaded | {"AMALGAM_FAULT_COUNTS": str(counts),
                                          "AMALGAM_FAULT_DEPTH": str(depth)})
        assert done.returncode == 0, (self.words, done.stderr)
        lines = [line.split() for line in counts.open()]
        numbers = {words[0]: int(words[1]) for words in lines if len(words) == 2}
        sites = {kind: [] for kind in ALLOCATIONS}
        for _, kind, number in (words for words in lines if len(words) == 3):
            sites[kind].append(int(number))
        return (numbers | {"exhaust": numbers["allocate"]},
                sites | {"exhaust": sites["allocate"]}, done)

    def run(self, environment, stdout=subprocess.PIPE):
        done = subprocess.run(self.all_words(), stdout=stdout, stderr=subprocess.PIPE, text=True,
                              env=os.environ | self.data | environment, timeout=MOST,
                              cwd=self.folder)
        return without_seconds(done)

    def run_with_fault(self, kind, number):
        if self.server is None:
            self.server = Server(self.all_words(), self.folder,
                                 os.environ | self.data | self.preloaded,
                                 self.work.parent / self.name, self.counts["load"] > 0)
            self.restore()
        if self.server.serves(kind, number):
            return without_seconds(self.server.fail(kind, number))
        return self.run(self.fault(kind, number))

    def run_again(self):
        """A run in which nothing fails; of those whose libraries take long to load a copy too."""
        if self.counts["load"] > 0 and self.server is not None and self.server.made is not None:
            return without_seconds(self.server.fail("open", NEVER))
        return self.run({})

    def all_words(self):
        return [self.program, *self.words, *(["--resume"] if self.resumes else [])]

    def restore(self):
        now = {str(path.relative_to(self.folder)) for path in self.folder.rglob("*")}
        for name in sorted(now - self.before.keys(), reverse=True):
            path = self.folder / name
            path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()
        for name, old in self.before.items():
            path = self.folder / name
            if old is None:
                path.mkdir(exist_ok=True)
            elif name.endswith(".sqlite"):
                if path.read_bytes() != self.databases[name]:
                    path.write_bytes(self.databases[name])
            elif not path.exists() or path.read_bytes() != old:  # no input is a page
                path.write_bytes(old)

    def fault(self, kind, number):
        return self.preloaded | {"AMALGAM_FAULT": f"{kind}:{number}"}

    def stop(self):
        if self.server is not None:
            self.server.stop()

    def fail(self, kind, number):
        """Whether the call was made; checks what came of its failure."""
        self.mark.unlink(missing_ok=True)
        try:
            done = self.run_with_fault(kind, number)
        except subprocess.TimeoutExpired:
            assert kind == "malloc" and self.asked_by(WAITING_LIBRARIES), self.place()
            self.restore()
            return True
        self.where = (kind, number, done.returncode, done.stderr, self.place())
        if done.returncode != 0:
            assert self.mark.exists(), self.where
            if kind != "malloc" or not self.is_third_partys(done):
                self.check_sentence(done)
            self.check_outputs(done, kind)
        else:
            assert done.stdout == self.said, (*self.where, done.stdout, self.said)
            self.check_equal(contents(self.folder), self.after, self.may_stay(done, kind))
        self.restore()
        return self.mark.exists()

    def place(self):
        """The innermost frames at which an allocation failed."""
        if not self.mark.exists():
            return []
        return [line.rpartition("/")[2] for line in self.mark.read_text().splitlines()[:8]]

    def may_stay(self, done, kind):
        """Whether something unfinished may: where memory ended, and where deleting it failed."""
        return self.resumes or kind in ALLOCATIONS or "cannot delete" in done.stderr

    def is_third_partys(self, done):
        """Whether a C library ended the process, or could not bear that it got no memory."""
        signalled = done.returncode in (-signal.SIGABRT, -signal.SIGSEGV, -signal.SIGTRAP)
        # Warnings may come first.
        said = any(line.startswith(THIRD_PARTY_ENDS) for line in done.stderr.splitlines())
        return said or (signalled and (self.ends_in_c or self.asked_by(CRASHING_LIBRARIES)))

    def asked_by(self, libraries):
        """Whether one of these made the call that failed, itself or by the C library."""
        asked = (Path(line).name for line in self.mark.read_text().splitlines())
        return next((name for name in asked if not name.startswith("libc.so")), "").startswith(
            libraries)

    def check_sentence(self, done):
        assert done.returncode == 1, self.where
        lines = done.stderr.splitlines()
        errors = [line for line in lines if "error: " in line]
        assert len(errors) == 1 and errors[0].startswith("amalgam: error: "), self.where
        assert all(line.startswith("amalgam: ") for line in lines), self.where

    def check_outputs(self, done, kind):
        now = contents(self.folder)
        for name in self.before.keys() | self.after.keys():
            states = [files.get(name, b"absent") for files in (self.before, self.after)]
            assert now.get(name, b"absent") in states, ("half made", name, *self.where)
        more = now.keys() - self.before.keys() - self.after.keys()
        more = {name for name in more
                if not (self.may_stay(done, kind) and UNFINISHED.search(name))}
        assert not more, ("left", more, *self.where)
        made = all(now.get(name, b"absent") == self.after.get(name, b"absent")
                   for name in self.outputs)
        if self.outputs and made:
            assert kind in ALLOCATIONS, ("all is there", *self.where)
            return
        if now == self.before and not list(self.folder.glob("*-journal")):
            return  # what follows would be the first run once more
        again = self.run_again()
        assert again.returncode == 0, ("again", again.stderr, *self.where)
        assert again.stdout == self.said, ("again", again.stdout, self.said, *self.where)
        made = contents(self.folder)
        if all(now[name] == self.after[name] for name in self.keeps):
            made |= {name: self.after[name] for name in self.keeps}
        self.check_equal(made, self.after, self.may_stay(done, kind))

    def check_equal(self, now, expected, may_stay):
        now = {name: bytes for name, bytes in now.items()
               if name in expected or not may_stay or not UNFINISHED.search(name)}
        different = {name for name in now.keys() | expected.keys()
                     if now.get(name, b"absent") != expected.get(name, b"absent")}
        assert not different, ("other bits", different, *self.where)

    def check_full_output(self):
        """Nothing is said to have gone well if the result could not be printed."""
        if not self.said:
            return
        with open("/dev/full", "w") as full:
            done = self.run({}, stdout=full)
        self.where = (self.name, "/dev/full", done.returncode, done.stderr)
        assert done.returncode == 1 and done.stderr.count("error: ") == 1, self.where
        self.restore()


def numbers(count, most):
    """At most `most` of 1 ... count in even steps, the last one among them; the middle if it is one
    alone."""
    if most is None or count <= most:
        return list(range(1, count + 1))
    if most == 1:
        return [(count + 1) // 2]
    return sorted({count - i * (count - 1) // (most - 1) for i in range(most)})


def check(command, most):
    """Fails at most most[kind] calls of each kind (None: all; SITES: the first allocation of every
    place); what was found wrong, and how many failed."""
    wrong, failed = [], {}

    def attempt(action, *arguments):
        try:
            return action(*arguments)
        except (AssertionError, subprocess.TimeoutExpired) as error:
            wrong.append(error)
            command.restore()
            return True

    attempt(command.check_full_output)
    for kind, limit in most.items():
        count = command.counts[kind]
        chosen = command.sites[kind] if limit == SITES else numbers(count, limit)
        hit = sum(attempt(command.fail, kind, number) for number in chosen)
        failed[kind] = (hit, count)
    command.stop()
    return wrong, failed
