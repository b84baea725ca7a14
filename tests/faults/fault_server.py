"""A process that has begun a command once and makes failing runs of it from there, as copies of
itself (fault_server.hpp): each takes no longer than what the command does after it has started."""

import os
import re
import select
import signal
import subprocess

# Seconds that a run may take, and that a copy may.
MOST = 600
MOST_OF_COPY = 120


class Server:
    """Of `words` in `folder`, until the learning library is loaded, if it `loads` that, else until
    the first file is opened; `place` begins the names of files."""

    def __init__(self, words, folder, environment, place, loads):
        self.words, self.place = words, place
        self.process = subprocess.Popen(
            words, cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL, bufsize=0,
            env=environment | {"AMALGAM_FAULT_SERVER": str(place)}
            | ({"AMALGAM_FAULT_LOADED": "1"} if loads else {}))
        self.unread = b""
        # How many calls of each kind are made before; None if threads run by then, or no file is
        # opened: no copies can be made.
        counts = re.findall(r"(\w+) (\d+) ", self.line(MOST))
        self.made = {kind: int(number) for kind, number in counts} or None

    def line(self, seconds):
        """The next line without its end; "" at the end of all."""
        output = self.process.stdout.fileno()
        while b"\n" not in self.unread:
            if not select.select([output], [], [], seconds)[0]:
                raise subprocess.TimeoutExpired(self.words, seconds)
            if not (more := os.read(output, 4096)):
                return ""
            self.unread += more
        line, _, self.unread = self.unread.partition(b"\n")
        return line.decode()

    def serves(self, kind, number):
        kind = "allocate" if kind == "exhaust" else kind
        return self.made is not None and number > self.made[kind]

    def fail(self, kind, number):
        """The run, as subprocess.run gives it, in which this call fails."""
        self.process.stdin.write(f"{kind} {number}\n".encode())
        copy = int(self.line(MOST))
        try:
            status = int(self.line(MOST_OF_COPY))
        except subprocess.TimeoutExpired:
            os.kill(copy, signal.SIGKILL)
            self.line(MOST)
            raise
        texts = [open(f"{self.place}.{end}", errors="replace").read() for end in ("out", "err")]
        return subprocess.CompletedProcess(self.words, os.waitstatus_to_exitcode(status), *texts)

    def stop(self):
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()
