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

CALLS = ("open", "read", "write", "sync", "rename", "reserve", "folder", "status")
ALLOCATIONS = ("start", "allocate", "malloc", "exhaust")
# Where C libraries end the process themselves, before anything can catch it.
THIRD_PARTY_ENDS = ("Fatal glibc error: ", "libgomp: Out of memory")
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


class Command:
    """`words` in which {} is the command's folder, made by `inputs`; all that a good run changes
    or makes there is its output."""

    def __init__(self, program, shim, work, name, words, resumes=False, keeps=(),
                 ends_in_c=False):
        self.program, self.shim, self.work, self.name = program, shim, work, name
        self.keeps, self.ends_in_c = keeps, ends_in_c
        self.data = {"AMALGAM_DATA": str(work / "shared")}
        self.folder = work / name
        self.words = [word.replace("{}", str(self.folder)) for word in words]
        self.resumes = resumes
        self.mark = work.parent / f"{name}.mark"
        self.before = contents(self.folder)
        self.databases = {path.name: path.read_bytes() for path in self.folder.glob("*.sqlite")}
        counts = work.parent / f"{name}.counts"
        done = self.run({"LD_PRELOAD": shim, "AMALGAM_FAULT_FOLDER": str(work),
                         "AMALGAM_FAULT_COUNTS": str(counts)})
        assert done.returncode == 0, (self.words, done.stderr)
        self.said = done.stdout
        self.after = contents(self.folder)
        # How many calls of each kind a run makes.
        self.counts = {kind: int(number) for kind, number in map(str.split, counts.open())}
        self.counts["exhaust"] = self.counts["allocate"]
        self.outputs = {name for name in self.after.keys() | self.before.keys()
                        if self.after.get(name, b"") != self.before.get(name, b"")
                        or (name in self.after) != (name in self.before)}
        self.restore()

    def run(self, environment, stdout=subprocess.PIPE):
        words = [self.program, *self.words, *(["--resume"] if self.resumes else [])]
        done = subprocess.run(words, stdout=stdout, stderr=subprocess.PIPE, text=True,
                              env=os.environ | self.data | environment, timeout=600,
                              cwd=self.folder)
        if stdout == subprocess.PIPE:
            done.stdout = re.sub(r'"\w*seconds": [^,\n]*|\d+(\.\d+)? s\b', "", done.stdout)
        return done

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
        return {"LD_PRELOAD": self.shim, "AMALGAM_FAULT": f"{kind}:{number}",
                "AMALGAM_FAULT_FOLDER": str(self.work), "AMALGAM_FAULT_MARK": str(self.mark)}

    def fail(self, kind, number):
        """Whether the call was made; checks what came of its failure."""
        self.mark.unlink(missing_ok=True)
        done = self.run(self.fault(kind, number))
        self.where = (kind, number, done.returncode, done.stderr)
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

    def may_stay(self, done, kind):
        """Whether something unfinished may: where memory ended, and where deleting it failed."""
        return self.resumes or kind in ALLOCATIONS or "cannot delete" in done.stderr

    def is_third_partys(self, done):
        """Whether a C library ended the process, or could not bear that it got no memory."""
        signalled = done.returncode in (-signal.SIGABRT, -signal.SIGSEGV)
        # Warnings may come first.
        said = any(line.startswith(THIRD_PARTY_ENDS) for line in done.stderr.splitlines())
        return said or (self.ends_in_c and signalled)

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
        again = self.run({})
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
    """Fails at most most[kind] calls of each kind (None: all); what was found wrong, and how many
    failed."""
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
        hit = sum(attempt(command.fail, kind, number) for number in numbers(count, limit))
        failed[kind] = (hit, count)
    return wrong, failed
