"""Dawid-Skene by `amalgam label aggregate` and by the plain NumPy reference, on the same annotations.

    /usr/bin/python3 labels_numpy.py BINARY [--annotations 1000000] [--sweeps 10] [--runs 3] [--threads 1]

Both make the same number of sweeps; NumPy's time is of the sweeps on arrays in memory, ours of the fit
alone (as it reports) and of the whole program, which also reads the file and writes the labels. Runs
alternate; medians count.
"""

import argparse
import json
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "tests" / "reference"))
import label_reference as reference  # noqa: E402


def write_annotations(path, count):
    rng = np.random.default_rng(1)
    tasks, workers, classes = count // 6, max(10, count // 600), 5
    task = rng.integers(0, tasks, count)
    worker = rng.integers(0, workers, count)
    skill = rng.uniform(0.4, 0.95, workers)
    truth = rng.integers(0, classes, tasks)
    label = np.where(rng.uniform(size=count) < skill[worker], truth[task], rng.integers(0, classes, count))
    with open(path, "w", encoding="utf-8") as file:
        file.write("task,worker,label\n")
        file.write("\n".join(f"task{t},worker{w},{k}" for t, w, k in zip(task, worker, label)) + "\n")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("binary")
    parser.add_argument("--annotations", type=int, default=1_000_000)
    parser.add_argument("--sweeps", type=int, default=10)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "annotations.csv"
        write_annotations(path, options.annotations)
        crowd, _, _ = reference.read_crowd(path)
        numpy_seconds, fit_seconds, all_seconds = [], [], []
        for _ in range(options.runs):
            start = time.perf_counter()
            reference.dawid_skene(crowd, options.sweeps)
            numpy_seconds.append(time.perf_counter() - start)
            start = time.perf_counter()
            done = subprocess.run(
                [options.binary, "label", "aggregate", path, "--method", "dawid-skene", "--max-iter",
                 str(options.sweeps), "--tolerance", "-1", "--threads", str(options.threads), "--out",
                 pathlib.Path(folder) / "labels.csv", "--json"], capture_output=True, check=True)
            all_seconds.append(time.perf_counter() - start)
            fit_seconds.append(json.loads(done.stdout)["seconds"])
    reference_time, fit, whole = map(statistics.median, (numpy_seconds, fit_seconds, all_seconds))
    print(f"{options.annotations} annotations, {options.sweeps} sweeps: NumPy {reference_time:.3f} s, "
          f"the fit {fit:.3f} s ({reference_time / fit:.1f} times as fast), with reading and writing "
          f"{whole:.3f} s ({reference_time / whole:.1f} times)")


if __name__ == "__main__":
    main()
