"""Merges the same models by the same recipes with amalgam and with mergekit, in turns: time and memory.

    python bench/mergekit_compare.py AMALGAM_BINARY WORK_FOLDER [--size 1GB|300MB] [--runs 3] [--methods ties,...]
                                     [--models BASE A B] [--table]

Runs in an environment that has mergekit (`make interop` makes build/interop/torch-venv). Without --models it makes a
Llama-like base in bf16 and two members. Every measurement is added to WORK_FOLDER/results-SIZE.jsonl as it is made; the table is made
of all that are there (--table: without new ones).

Columns: medians of processor seconds (of all threads) and of seconds by the clock, of whole commands; the ratio, also without
mergekit's start (importing PyTorch and transformers, measured as `mergekit-yaml --help`); peak resident memory, and in
brackets what of it is the process's own, not pages of files, which the system may drop.
"""

import argparse
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import threading
import time

import yaml

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "scripts"))

ONE = {"slerp": {"t": 0.4}, "nearswap": {"t": 0.001}, "arcee_fusion": {}}
SHARED = {"karcher": {}, "model_stock": {}, "sce": {"select_topk": 0.5}, "ram": {}, "ramplus_tl": {}}
MEMBERS = {
    "linear": {"weight": 0.5},
    "nuslerp": {"weight": 0.5},
    "multislerp": {"weight": 0.5},
    "task_arithmetic": {"weight": 0.5},
    "ties": {"weight": 0.5, "density": 0.5},
    "dare_linear": {"weight": 0.5, "density": 0.5},
    "dare_ties": {"weight": 0.5, "density": 0.5},
    "breadcrumbs": {"weight": 0.5, "density": 0.5},
    "breadcrumbs_ties": {"weight": 0.5, "density": 0.5},
    "della": {"weight": 0.5, "density": 0.5},
    "della_linear": {"weight": 0.5, "density": 0.5},
}
WITHOUT_BASE = {"linear", "nuslerp", "multislerp", "karcher"}
METHODS = [*MEMBERS, *ONE, *SHARED]


def recipe(method, base, members, dtype):
    used = members[:1] if method in ONE else members
    document = {
        "merge_method": method,
        "dtype": dtype,
        "models": [{"model": str(path), "parameters": MEMBERS.get(method, {})} for path in used],
        "parameters": {**ONE.get(method, {}), **SHARED.get(method, {})},
    }
    if method not in WITHOUT_BASE:
        document["base_model"] = str(base)
    return document


class Peak(threading.Thread):
    """Watches a process's memory: all that is resident, and what is not the content of files, in MB.

    (What wait4 says begins with the size of the parent.)
    """

    def __init__(self, process):
        super().__init__(daemon=True)
        self.status = pathlib.Path(f"/proc/{process.pid}/status")
        self.resident, self.own = 0, 0

    def run(self):
        while True:
            try:
                fields = dict(line.split(":", 1) for line in self.status.read_text().splitlines())
                if "RssAnon" not in fields:
                    return
            except (OSError, ValueError):
                return
            size = lambda key: int(fields[key].split()[0]) * 1024 / 1e6  # noqa: E731
            self.resident = max(self.resident, size("VmHWM"))
            self.own = max(self.own, size("RssAnon") + size("RssShmem"))
            time.sleep(0.005)


def measure(command, log):
    """Seconds, processor seconds and peaks of one run."""
    start = time.perf_counter()
    with open(log, "w") as out:
        process = subprocess.Popen(list(map(str, command)), stdout=out, stderr=subprocess.STDOUT)
        peak = Peak(process)
        peak.start()
        _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - start
    process.returncode = 0
    if status:
        sys.exit(f"mergekit_compare: {' '.join(map(str, command))} failed:\n{pathlib.Path(log).read_text()}")
    peak.join()
    return {"s": seconds, "cpu": usage.ru_utime + usage.ru_stime, "mb": peak.resident, "own": peak.own}


SIZES = {
    "300MB": {"hidden": 768, "layers": 16, "vocabulary": 32000, "intermediate": 2048, "heads": 12, "groups": 4},
    "1GB": {"hidden": 1536, "layers": 16, "vocabulary": 32000, "intermediate": 4096, "heads": 16, "groups": 4},
}


def made_models(folder, size):
    if not (folder / "member1" / "config.json").exists():
        import torch
        from interop_llama import write_family

        write_family(folder, 2, torch.bfloat16, change=0.1, **SIZES[size])
    return [folder / "base", folder / "member0", folder / "member1"]


def print_table(results):
    """One row a method, of the medians of its runs."""
    runs = {}
    for line in results.read_text().splitlines():
        one = json.loads(line)
        runs.setdefault(one["method"], {}).setdefault(one["tool"], []).append(one)

    def middle(method, tool, key):
        return statistics.median(one[key] for one in runs[method][tool])

    start = {key: middle("start", "mergekit", key) for key in ("cpu", "s")}
    print(f"start of mergekit: {start['cpu']:.1f} s of processor time, {start['s']:.1f} s by the clock\n")
    print("| method | runs | processor s | mergekit | ratio | without start | clock s | mergekit | ratio | without start | "
          "MB (own) | mergekit | ratio |\n|" + " --- |" * 13)
    for method in METHODS:
        if len(runs.get(method, {})) < 2:
            continue
        cells = [method, str(len(runs[method]["amalgam"]))]
        for key in ("cpu", "s"):
            ours, theirs = middle(method, "amalgam", key), middle(method, "mergekit", key)
            cells += [f"{ours:.1f}", f"{theirs:.0f}", f"{theirs / ours:.1f}", f"{max(theirs - start[key], 0) / ours:.1f}"]
        memory = [(middle(method, tool, "mb"), middle(method, tool, "own")) for tool in ("amalgam", "mergekit")]
        cells += [f"{mb:.0f} ({own:.0f})" for mb, own in memory]
        cells.append(f"{memory[1][0] / memory[0][0]:.0f} ({memory[1][1] / memory[0][1]:.0f})")
        print("| " + " | ".join(cells) + " |")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("amalgam")
    parser.add_argument("work", type=pathlib.Path)
    parser.add_argument("--size", choices=SIZES, default="1GB")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--methods", default=",".join(METHODS))
    parser.add_argument("--models", nargs="+", help="base and members, folders")
    parser.add_argument("--dtype", default="bfloat16")
    parser.add_argument("--table", action="store_true")
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    results = options.work / f"results-{'models' if options.models else options.size}.jsonl"
    if not options.table:
        base, *members = options.models or made_models(options.work / options.size, options.size)
        run_all(options, results, base, members)
    print_table(results)


def run_all(options, results, base, members):
    mergekit = pathlib.Path(sys.executable).parent / "mergekit-yaml"
    log, path, out = options.work / "log.txt", options.work / "recipe.yml", options.work / "out"

    def add(method, tool, command):
        shutil.rmtree(out, ignore_errors=True)
        with open(results, "a") as file:
            file.write(json.dumps({"method": method, "tool": tool, **measure(command, log)}) + "\n")

    for _ in range(options.runs):
        add("start", "mergekit", [mergekit, "--help"])
        for method in options.methods.split(","):
            path.write_text(yaml.safe_dump(recipe(method, base, members, options.dtype)))
            add(method, "amalgam", [options.amalgam, "merge", path, "-o", out, "--quiet"])
            add(method, "mergekit", [mergekit, path, out, "--quiet"])


if __name__ == "__main__":
    main()
