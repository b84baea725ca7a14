"""Compares `amalgam label aggregate` with the NumPy reference, on made crowds and on real ones.

    /usr/bin/python3 compare_labels.py BINARY [--made-only]

Deterministic methods must give each task the reference's label after the same number of sweeps, unless
its two best classes are within 1e-9 of each other, and the reference's probabilities to 1e-6. Of random
ones the mean accuracy over 20 seeds must be within three standard errors of the reference's. Real crowds
are the folders of $AMALGAM_DATA/crowd with annotations.csv and gold.csv, if there are any.
"""

import argparse
import csv
import json
import os
import shutil
import subprocess
import sys
import tempfile

import numpy as np

import label_reference as reference
import moment_reference as moments

SWEEPS = 15
SEEDS = 20

EXACT = [
    ("majority-vote", [], reference.majority_vote, None),
    ("standard", [], reference.standard, None),
    ("softmax", [], reference.softmax_votes, None),
    ("weighted-majority", ["balance=votes"], reference.weighted_majority, None),
    ("wawa", [], reference.wawa, None),
    ("zero-based-skill", [], reference.zero_based_skill, None),
    ("dawid-skene", [f"iterations={SWEEPS}", "tolerance=-1"], lambda c: reference.dawid_skene(c, SWEEPS), None),
    ("dawid-skene", [f"iterations={SWEEPS}", "tolerance=-1", "diagonal=2", "off_diagonal=1"],
     lambda c: reference.dawid_skene(c, SWEEPS, 2, 1), None),
    ("fast-dawid-skene", [], reference.fast_dawid_skene, None),
    ("one-coin-dawid-skene", [f"iterations={SWEEPS}", "tolerance=-1"], lambda c: reference.one_coin(c, SWEEPS), None),
    ("zencrowd", [f"iterations={SWEEPS}", "tolerance=-1"], lambda c: reference.zencrowd(c, SWEEPS), None),
    ("glad", ["iterations=6", "tolerance=-1"], lambda c: reference.glad(c, 6), None),
    ("mace", ["start_spread=0", "restarts=1", "iterations=20"], lambda c: moments.mace(c, 20), None),
    ("mace", ["start_spread=0", "restarts=1", "iterations=20", "inference=em"],
     lambda c: moments.mace(c, 20, variational=False), None),
    ("bcc", ["inference=variational", f"iterations={SWEEPS}", "tolerance=-1"],
     lambda c: reference.variational_bcc(c, SWEEPS), None),
    ("m-msr", [], moments.m_msr, lambda c: 3 <= c.workers <= 300),
    # Beyond 200 workers triplets are drawn.
    ("flying-squid", [], moments.flying_squid, lambda c: 3 <= c.workers <= 200),
    ("weaver", [], moments.weaver, lambda c: c.classes == 2 and 3 <= c.workers <= 300),
    ("average", ["methods=standard,softmax,wawa,zero-based-skill", "aggregation=centroid"],
     lambda c: reference.centroid(np.stack([f(c) for f in (reference.standard, reference.softmax_votes, reference.wawa,
                                                           reference.zero_based_skill)])), None),
]

RANDOM = [
    ("mace", ["restarts=3", "iterations=25"], lambda c, random: moments.mace(c, 25, random=random, restarts=3), None),
    ("kos", [], moments.kos, lambda c: c.classes == 2),
    ("bcc", ["burn_in=20", "samples=60"], lambda c, random: moments.bcc(c, random, 20, 60), None),
    ("generative", [], lambda c, random: moments.generative(c, random.random()),
     lambda c: 3 <= c.workers <= 200 and c.tasks * c.workers * c.classes < 4e6),
]


def run(binary, path, method, parameters, folder, seed=0, gold=None):
    labels, soft = os.path.join(folder, "labels.csv"), os.path.join(folder, "soft.csv")
    command = [binary, "label", "aggregate", path, "--method", method, "--out", labels, "--soft", soft,
               "--json", "--seed", str(seed)]
    for parameter in parameters:
        command += ["-p", parameter]
    if gold:
        command += ["--gold", gold]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(command)}\n{done.stderr}")
    with open(labels, encoding="utf-8", newline="") as file:
        hard = {row["task"]: row["label"] for row in csv.DictReader(file)}
    with open(soft, encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    return hard, {row[0]: np.array(row[1:], float) for row in rows[1:]}, json.loads(done.stdout)


def compare_gold_majority(binary, name, path, crowd, tasks, labels, gold, gold_path, folder):
    if not set(gold.values()) <= set(labels):
        return 0
    known = np.array([labels.index(gold[task]) if task in gold else -1 for task in tasks])
    expected = reference.gold_majority(crowd, known)
    hard, _, _ = run(binary, path, "gold-majority", [], folder, gold=gold_path)
    return report_exact(name, "gold-majority", expected, hard, None, tasks, labels)


def report_exact(name, what, expected, hard, soft, tasks, labels):
    first = np.sort(expected, axis=1)
    far = first[:, -1] - first[:, -2] > 1e-9
    wanted = expected.argmax(axis=1)
    wrong = [task for i, task in enumerate(tasks) if far[i] and hard[task] != labels[wanted[i]]]
    gap = max(np.abs(soft[task] - expected[i]).max() for i, task in enumerate(tasks)) if soft else 0
    fine = not wrong and gap <= 1e-6
    print(f"{'ok  ' if fine else 'FAIL'} {name}: {what}: {len(tasks)} tasks, {(~far).sum()} ties, "
          f"{len(wrong)} differ, largest gap {gap:.1e}", flush=True)
    return not fine


def compare_exact(binary, name, path, crowd, tasks, labels, folder):
    failures = 0
    for method, parameters, expected_of, fits in EXACT:
        if fits and not fits(crowd):
            continue
        expected = expected_of(crowd)
        hard, soft, _ = run(binary, path, method, parameters, folder)
        failures += report_exact(name, " ".join([method] + parameters), expected, hard, soft, tasks, labels)
    return failures


def accuracy_of(hard, gold):
    known = [task for task in gold if task in hard]
    return np.mean([hard[task] == gold[task] for task in known])


def compare_random(binary, name, path, crowd, tasks, labels, gold, folder):
    failures = 0
    for method, parameters, expected_of, fits in RANDOM:
        if fits and not fits(crowd):
            continue
        ours, theirs = [], []
        for seed in range(SEEDS):
            hard, _, _ = run(binary, path, method, parameters, folder, seed)
            ours.append(accuracy_of(hard, gold))
            p = expected_of(crowd, np.random.default_rng(seed))
            best = reference.hard(p)
            theirs.append(accuracy_of({task: labels[best[i]] for i, task in enumerate(tasks)}, gold))
        error = np.sqrt((np.var(ours, ddof=1) + np.var(theirs, ddof=1)) / SEEDS)
        gap = abs(np.mean(ours) - np.mean(theirs))
        fine = gap <= 3 * error + 1e-12
        failures += not fine
        print(f"{'ok  ' if fine else 'FAIL'} {name}: {method}: mean accuracy {np.mean(ours):.4f}, reference "
              f"{np.mean(theirs):.4f}, standard error {error:.4f}", flush=True)
    return failures


def made_crowd(folder, name, tasks, workers, per_task, classes, weighted, seed):
    random = np.random.default_rng(seed)
    skill = random.uniform(0.35, 0.95, workers)
    truth = random.integers(classes, size=tasks)
    path, gold = os.path.join(folder, name + ".csv"), os.path.join(folder, name + "-gold.csv")
    with open(path, "w", encoding="utf-8", newline="") as file:
        file.write("task,worker,label" + (",weight" if weighted else "") + "\n")
        for task in range(tasks):
            for worker in random.choice(workers, per_task, replace=False):
                label = truth[task] if random.random() < skill[worker] else random.integers(classes)
                weight = f",{random.uniform(0.2, 2):.3f}" if weighted else ""
                file.write(f"t{task},w{worker},{label}{weight}\n")
    with open(gold, "w", encoding="utf-8", newline="") as file:
        file.write("task,label\n" + "".join(f"t{task},{label}\n" for task, label in enumerate(truth)))
    return path, gold


def crowds(folder, made_only):
    yield ("made binary", *made_crowd(folder, "binary", 200, 15, 5, 2, False, 1))
    yield ("made 4 classes", *made_crowd(folder, "four", 150, 12, 4, 4, False, 2))
    yield ("made weighted", *made_crowd(folder, "weighted", 120, 10, 4, 3, True, 3))
    root = os.path.join(os.environ.get("AMALGAM_DATA", ""), "crowd")
    if made_only or not os.environ.get("AMALGAM_DATA") or not os.path.isdir(root):
        return
    for name in sorted(os.listdir(root)):
        yield name, os.path.join(root, name, "annotations.csv"), os.path.join(root, name, "gold.csv")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("binary")
    parser.add_argument("--made-only", action="store_true")
    parser.add_argument("--only", help="one crowd, by name")
    options = parser.parse_args()
    failures = 0
    with tempfile.TemporaryDirectory() as folder:
        options.binary = shutil.copy(options.binary, folder)  # one version, also if it is built anew meanwhile
        for name, path, gold_path in crowds(folder, options.made_only):
            if options.only and name != options.only:
                continue
            crowd, tasks, labels = reference.read_crowd(path)
            with open(gold_path, encoding="utf-8", newline="") as file:
                gold = {row["task"]: row["label"] for row in csv.DictReader(file)}
            failures += compare_exact(options.binary, name, path, crowd, tasks, labels, folder)
            failures += compare_gold_majority(options.binary, name, path, crowd, tasks, labels, gold, gold_path,
                                              folder)
            failures += compare_random(options.binary, name, path, crowd, tasks, labels, gold, folder)
    print(f"{failures} differences")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
