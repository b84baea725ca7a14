"""Merges the same models by the same recipes with amalgam and with mergekit, in turns: time and memory, as a table in Markdown.

    python bench/mergekit_compare.py AMALGAM_BINARY WORK_FOLDER [--size 1GB|300MB] [--runs 3] [--methods ties,...]
                                     [--real language_model|encoder | --models BASE A B] [--anew] [--table]

Runs in an environment that has mergekit (`make interop` makes build/interop/torch-venv). It makes a Llama-like base in bf16
and two members; with --real it unpacks a real model (scripts/real_models.py) and two copies of it that were changed a little. Every
measurement is added to WORK_FOLDER/results-SIZE.jsonl (or results-NAME, results-models) as it is made; the table is made of all that
are there (--table: without new ones; --anew: of new ones alone). mergekit 0.1.5 has no plan for BERT's classes: the encoder's
weights are merged by `mergekit-pytorch`, which knows no architectures.

Columns: medians over the runs of the processor seconds (of all threads) of whole commands; of the ratios of each pair of runs, in
brackets the least and the largest, also without mergekit's start (importing PyTorch and transformers, measured as
the command's `--help`), and by the clock; peak resident memory, and in brackets what of it is the process's own, not pages of
files, which the system may drop.
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


def real_models(folder, name):
    if not (folder / "b" / "model.safetensors").exists():
        import real_models as real

        shutil.rmtree(folder, ignore_errors=True)
        getattr(real, f"unpack_{name}")(folder)
    # Of an encoder the weights alone.
    return [folder / one / ("model.safetensors" if name == "encoder" else "") for one in ("base", "a", "b")]


def with_spread(values):
    """The median, and between what the values lie if there are several."""
    middle = f"{statistics.median(values):.1f}"
    return middle if len(values) < 2 else f"{middle} ({min(values):.1f}-{max(values):.1f})"


def print_table(results):
    """One row a method. The n-th run of one tool belongs to the n-th of the other."""
    lines = [json.loads(line) for line in results.read_text().splitlines()]
    runs = {}
    for one in lines:
        runs.setdefault(one["method"], {}).setdefault(one["tool"], []).append(one)
    loads = [one["load"] for one in lines if "load" in one]
    start = {key: statistics.median(one[key] for one in runs["start"]["mergekit"]) for key in ("cpu", "s")}
    print(f"start of mergekit: {start['cpu']:.1f} s of processor time, {start['s']:.1f} s by the clock")
    if loads:
        print(f"load of the machine: median {statistics.median(loads):.1f} ({min(loads):.1f}-{max(loads):.1f})")
    print("\n| method | runs | amalgam s | mergekit s | ratio | without start | ratio by the clock | without start | "
          "amalgam MB (own) | mergekit MB (own) |\n|" + " --- |" * 10)
    for method in METHODS:
        if len(runs.get(method, {})) == 2:
            print("| " + " | ".join(row(method, runs[method]["amalgam"], runs[method]["mergekit"], start)) + " |")


def row(method, ours, theirs, start):
    def middle(measurements, key):
        return statistics.median(one[key] for one in measurements)

    pairs = list(zip(ours, theirs))
    cells = [method, str(len(pairs)), f"{middle(ours, 'cpu'):.2f}", f"{middle(theirs, 'cpu'):.1f}"]
    for key in ("cpu", "s"):
        cells.append(with_spread([b[key] / a[key] for a, b in pairs]))
        cells.append(with_spread([max(b[key] - start[key], 0) / a[key] for a, b in pairs]))
    return cells + [f"{middle(tool, 'mb'):.0f} ({middle(tool, 'own'):.0f})" for tool in (ours, theirs)]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("amalgam")
    parser.add_argument("work", type=pathlib.Path)
    parser.add_argument("--size", choices=SIZES, default="1GB")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--methods", default=",".join(METHODS))
    models = parser.add_mutually_exclusive_group()
    models.add_argument("--models", nargs="+", help="base and members, folders")
    models.add_argument("--real", choices=["language_model", "encoder"], help="a real model and two changed copies of it")
    parser.add_argument("--dtype", default="bfloat16")
    parser.add_argument("--anew", action="store_true", help="forget earlier measurements")
    parser.add_argument("--table", action="store_true", help="only print the table of earlier measurements")
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    results = options.work / f"results-{options.real or ('models' if options.models else options.size)}.jsonl"
    if options.anew:
        results.unlink(missing_ok=True)
    if not options.table:
        if options.real:
            base, *members = real_models(options.work / options.real, options.real)
        else:
            base, *members = options.models or made_models(options.work / options.size, options.size)
        run_all(options, results, base, members)
    print_table(results)


def run_all(options, results, base, members):
    mergekit = pathlib.Path(sys.executable).parent / ("mergekit-pytorch" if options.real == "encoder" else "mergekit-yaml")
    log, path, out = options.work / "log.txt", options.work / "recipe.yml", options.work / "out"

    def add(method, tool, command):
        shutil.rmtree(out, ignore_errors=True)
        with open(results, "a") as file:
            file.write(json.dumps({"method": method, "tool": tool, "load": os.getloadavg()[0], **measure(command, log)}) + "\n")

    for _ in range(options.runs):
        add("start", "mergekit", [mergekit, "--help"])
        for method in options.methods.split(","):
            path.write_text(yaml.safe_dump(recipe(method, base, members, options.dtype)))
            add(method, "amalgam", [options.amalgam, "merge", path, "-o", out, "--quiet"])
            add(method, "mergekit", [mergekit, path, out, "--quiet"])


if __name__ == "__main__":
    main()
