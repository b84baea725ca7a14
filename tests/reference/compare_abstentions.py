"""Compares dawid-skene with abstentions as a symbol with the NumPy reference: `label weak` of a matrix, and `label
aggregate --abstain` of a table in which some pairs of worker and task are missing altogether.

    /usr/bin/python3 compare_abstentions.py BINARY

Probabilities must be the reference's to 1e-8 after the same number of sweeps.
"""

import csv
import os
import subprocess
import sys
import tempfile

import numpy as np

from abstention_reference import abstaining_dawid_skene

SWEEPS = 12


def made_votes(items, functions, classes, unseen, seed):
    random = np.random.default_rng(seed)
    truth = random.integers(classes, size=items)
    abstains = random.uniform(0.1, 0.9, (functions, classes))
    skill = random.uniform(0.4, 0.95, functions)
    right = random.random((items, functions)) < skill
    votes = np.where(right, truth[:, None], random.integers(classes, size=(items, functions)))
    votes = np.where(random.random((items, functions)) < abstains[:, truth].T, -1, votes)
    votes = np.where(random.random((items, functions)) < unseen, -2, votes)
    # Every class is there, some items have no vote at all, and every item and function is there.
    votes[:classes, 0] = np.arange(classes)
    votes[-3:] = -1
    return votes


def read_columns(path):
    with open(path, encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    return rows[0], np.array([[float(x) for x in row[1:]] for row in rows[1:]])


def run(binary, folder, *words):
    soft, workers = os.path.join(folder, "soft.csv"), os.path.join(folder, "workers.csv")
    done = subprocess.run([binary, "label", *words, "--method", "dawid-skene", "--out", os.path.join(folder, "l.csv"),
                           "--soft", soft, "--workers", workers, "--quiet", "-p", "tolerance=-1", "-p",
                           f"iterations={SWEEPS}"], capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(f"label {' '.join(words)}\n{done.stderr}")
    names, of_workers = read_columns(workers)
    abstains = [i - 1 for i, name in enumerate(names) if name.startswith("abstains:")]
    return read_columns(soft)[1], of_workers[:, abstains]


def compare(binary, folder, what, words, votes, classes, pseudo):
    settings = ["-p", f"diagonal={pseudo[0]}", "-p", f"off_diagonal={pseudo[1]}"]
    soft, abstains = run(binary, folder, *words, *settings)
    expected, silence = abstaining_dawid_skene(votes, classes, SWEEPS, *pseudo)
    gap = max(np.abs(soft - expected).max(), np.abs(abstains - silence).max())
    fine = gap <= 1e-8
    print(f"{'ok  ' if fine else 'FAIL'} {what}, pseudo-counts {pseudo}: largest gap {gap:.1e}", flush=True)
    return not fine


def write_table(path, votes):
    """Rows for all that a worker has seen; names with leading zeros, in whose order they are numbered."""
    with open(path, "w", encoding="utf-8") as file:
        file.write("task,worker,label\n")
        for i, j in np.argwhere(votes > -2):
            file.write(f"t{i:05},w{j:03},{'none' if votes[i, j] < 0 else f'c{votes[i, j]}'}\n")


def main():
    binary, failures = sys.argv[1], 0
    with tempfile.TemporaryDirectory() as folder:
        for items, functions, classes, seed in ((300, 8, 2, 1), (500, 25, 4, 2), (90, 3, 6, 3)):
            for pseudo in ((0.0, 0.0), (2.0, 0.5)):
                name = f"{items} items, {functions} functions, {classes} classes"
                votes = made_votes(items, functions, classes, 0, seed)
                matrix = os.path.join(folder, "votes.npy")
                np.save(matrix, votes.astype(np.int16))
                failures += compare(binary, folder, f"{name}: weak", ["weak", matrix, "-p", "abstentions=missing"],
                                    votes, classes, pseudo)
                votes = made_votes(items, functions, classes, 0.4, seed)
                votes = votes[(votes > -2).any(axis=1)]  # others are not in the table
                table = os.path.join(folder, "table.csv")
                write_table(table, votes)
                failures += compare(binary, folder, f"{name}: aggregate",
                                    ["aggregate", table, "--abstain", "none", "-p", "abstentions=marked"], votes,
                                    classes, pseudo)
    print(f"{failures} differences")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
