"""Tables fit the terminal: terminal_width_test.py AMALGAM

Lists of methods have long cells. On a terminal these go over several lines; a program that reads
the output gets a row a line.
"""

import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios

COLUMNS = 110
COMMANDS = [["rank", "methods"], ["label", "methods"], ["merge", "methods"]]


def on_terminal(command):
    main, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 50, COLUMNS, 0, 0))
    process = subprocess.Popen(command, stdout=terminal, stdin=subprocess.DEVNULL)
    os.close(terminal)
    text = b""
    while True:
        try:
            part = os.read(main, 65536)
        except OSError:  # Linux's end of a terminal
            break
        if not part:
            break
        text += part
    assert process.wait() == 0, command
    return text.decode().splitlines()


def letters(lines):
    return sorted("".join("".join(lines).split()))


def main():
    binary = sys.argv[1]
    for words in COMMANDS:
        command = [binary, *words]
        rows = subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout.decode().splitlines()
        assert max(map(len, rows)) > COLUMNS, f"{words}: nothing to wrap"
        lines = on_terminal(command)
        widest = max(map(len, lines))
        assert widest <= COLUMNS, f"{words}: a line of {widest} columns on {COLUMNS}"
        assert letters(rows) == letters(lines), f"{words}: something is lost"


main()
