"""Compares `amalgam label` with the real crowd-kit and scikit-learn.

    python interop_labels.py AMALGAM_BINARY WORK_FOLDER

Annotations are those of $AMALGAM_DATA/crowd where it is set, and a generated set otherwise. Labels
must be equal on every task that is not tied, accuracy and macro-F1 those of scikit-learn; times of
both are printed (crowd-kit's from a data frame in memory, ours with the whole program around it).
"""

import json
import os
import pathlib
import subprocess
import sys
import time
import warnings

import numpy as np
import pandas as pd
from crowdkit.aggregation import (GLAD, DawidSkene, MajorityVote, OneCoinDawidSkene, Wawa,
                                  ZeroBasedSkill)
from sklearn.metrics import accuracy_score, cohen_kappa_score, f1_score

warnings.filterwarnings("ignore")
SWEEPS = ["--max-iter", "20", "--tolerance", "-1"]
# The last number: the share of labels that may differ. crowd-kit breaks ties of the majority, from
# which Wawa starts, by appearance; and its GLAD ends its maximisations early (tolerance 1e-2).
METHODS = [
    ("majority-vote", lambda: MajorityVote(), [], 0),
    ("wawa", lambda: Wawa(), [], 0.005),
    ("zero-based-skill", lambda: ZeroBasedSkill(), [], 0.005),
    ("dawid-skene", lambda: DawidSkene(n_iter=20, tol=-1), SWEEPS, 0),
    ("one-coin-dawid-skene", lambda: OneCoinDawidSkene(n_iter=20, tol=-1), SWEEPS, 0),
    ("glad", lambda: GLAD(), [], 0.03),
]


def generated(folder):
    rng = np.random.default_rng(1)
    tasks, workers, classes, votes = 2000, 60, 4, 5
    truth = rng.integers(0, classes, tasks)
    skill = rng.uniform(0.4, 0.95, workers)
    rows = []
    for task in range(tasks):
        for worker in rng.choice(workers, votes, replace=False):
            right = rng.uniform() < skill[worker]
            rows.append((f"t{task}", f"w{worker}",
                         truth[task] if right else rng.integers(0, classes)))
    folder.mkdir(parents=True, exist_ok=True)
    pd.DataFrame(rows, columns=["task", "worker", "label"]).to_csv(folder / "annotations.csv", index=False)
    gold = pd.DataFrame({"task": [f"t{t}" for t in range(tasks)], "label": truth})
    gold.to_csv(folder / "gold.csv", index=False)
    return folder


def run(*words):
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def main():
    binary, work = sys.argv[1], pathlib.Path(sys.argv[2])
    work.mkdir(parents=True, exist_ok=True)
    folders = [generated(work / "generated")]
    if "AMALGAM_DATA" in os.environ:
        crowd = pathlib.Path(os.environ["AMALGAM_DATA"]) / "crowd"
        folders += [crowd / name for name in ("rte", "weather-sentiment-amt", "music-genre")]
    failures = 0
    for folder in folders:
        annotations = pd.read_csv(folder / "annotations.csv", dtype=str)
        gold = pd.read_csv(folder / "gold.csv", dtype=str).set_index("task")["label"]
        for method, theirs, extra, allowed in METHODS:
            start = time.perf_counter()
            expected = theirs().fit_predict(annotations)
            their_seconds = time.perf_counter() - start
            start = time.perf_counter()
            report = run(binary, "label", "aggregate", folder / "annotations.csv", "--method", method,
                         "--gold", folder / "gold.csv", "--out", work / "labels.csv", "--soft",
                         work / "soft.csv", "--json", *extra)
            our_seconds = time.perf_counter() - start
            labels = pd.read_csv(work / "labels.csv", dtype=str).set_index("task")["label"]
            soft = pd.read_csv(work / "soft.csv", dtype={"task": str}).set_index("task")
            two = np.sort(soft.to_numpy(), axis=1)[:, -2:]
            clear = pd.Series(two[:, 1] - two[:, 0] > 1e-6, index=soft.index)
            differ = (labels.reindex(expected.index) != expected) & clear.reindex(expected.index)
            judged = gold.index.intersection(labels.index)
            accuracy = accuracy_score(gold[judged], labels[judged])
            macro_f1 = f1_score(gold[judged], labels[judged], average="macro")
            holds = (differ.mean() <= allowed and abs(accuracy - report["accuracy"]) < 1e-12 and
                     abs(macro_f1 - report["macro_f1"]) < 1e-12)
            failures += not holds
            print(f"{'ok  ' if holds else 'FAIL'} {folder.name} {method}: {differ.sum()} of "
                  f"{len(labels)} labels differ; crowd-kit {their_seconds:.2f} s, amalgam "
                  f"{our_seconds:.3f} s in all, {report['seconds']:.4f} s the fit")
        run(binary, "label", "agreement", folder / "annotations.csv", "--pairs", work / "pairs.csv",
            "--fewest", 15, "--json")
        first = annotations.drop_duplicates(["task", "worker"]).pivot(
            index="task", columns="worker", values="label")
        worst = 0
        for pair in pd.read_csv(work / "pairs.csv", dtype={"first": str, "second": str}).head(
                50).itertuples():
            both = first[[pair.first, pair.second]].dropna()
            kappa = cohen_kappa_score(both[pair.first], both[pair.second])
            if not np.isnan(pair.kappa):
                worst = max(worst, abs(kappa - pair.kappa))
        failures += not worst < 1e-9
        print(f"{'ok  ' if worst < 1e-9 else 'FAIL'} {folder.name} Cohen's kappa: largest difference "
              f"from scikit-learn {worst:.1e}")
    sys.exit(f"{failures} checks failed" if failures else 0)


if __name__ == "__main__":
    main()
