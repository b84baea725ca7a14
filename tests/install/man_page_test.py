"""Every command and every option of the program is in its man page.

    python3 man_page_test.py BINARY MAN_PAGE
"""

import re
import subprocess
import sys


def help_of(binary, *words):
    """The help, or nothing where a build without libtorch has no learning library to ask."""
    done = subprocess.run([binary, *words, "--help"], check=False, capture_output=True, text=True)
    if done.returncode != 0 and "libamalgam_learning" not in done.stderr:
        sys.exit(f"{' '.join(words)} --help failed: {done.stderr}")
    return done.stdout


def commands_in(text):
    block = re.search(r"^Subcommands:\n((?:.+\n)+)", text, re.M)
    return re.findall(r"^  ([a-z][a-z_-]*)", block.group(1), re.M) if block else []


def main():
    binary, page = sys.argv[1:]
    with open(page, encoding="utf-8") as file:
        manual = file.read().replace(r"\-", "-").replace("\\fB", "").replace("\\fR", "")
    missing = []

    def check(*words):
        text = help_of(binary, *words)
        name = " ".join(["amalgam", *words])
        if name.lower() not in manual.lower():
            missing.append(name)
        for option in sorted(set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", text))):
            if option not in manual:
                missing.append(f"{name} {option}")
        for command in commands_in(text):
            check(*words, command)

    check()
    if missing:
        sys.exit("not in the man page: " + ", ".join(missing))


main()
