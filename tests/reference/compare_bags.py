"""Compares `amalgam label bags` with the NumPy reference, from rows and from states that were saved and joined.

    /usr/bin/python3 compare_bags.py BINARY

Coefficients and losses must be the reference's to 1e-8 of their size.
"""

import json
import os
import subprocess
import sys
import tempfile

import numpy as np

import bag_reference as reference
from reference_task_vectors import fnv1a64, philox4x32


def made_rows(bags, largest, features, seed):
    """Bags of 1 to `largest` rows; features with means, scales and correlations of their own."""
    random = np.random.default_rng(seed)
    bag = np.repeat(np.arange(bags), random.integers(1, largest + 1, bags))
    x = random.standard_normal((len(bag), features)) @ random.standard_normal((features, features))
    x = 3 * np.arange(features) + (1 + np.arange(features)) * x
    response = x @ random.standard_normal(features) + random.standard_normal(len(bag))
    return x, bag, response


def write_rows(path, x, bag, response, keep):
    with open(path, "w", encoding="utf-8") as file:
        file.write("bag," + ",".join(f"x{j}" for j in range(x.shape[1])) + ",y\n")
        for i in np.flatnonzero(keep):
            file.write(",".join([f"b{bag[i]}", *(repr(float(v)) for v in [*x[i], response[i]])]) + "\n")


def run(binary, *words):
    done = subprocess.run([binary, "label", "bags", *words, "--json"], capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(f"label bags {' '.join(words)}\n{done.stderr}")
    return json.loads(done.stdout)


def report(what, pairs):
    gap = max(float(np.max(np.abs(np.subtract(a, b)) / (1 + np.abs(b)))) for a, b in pairs)
    fine = gap <= 1e-8
    print(f"{'ok  ' if fine else 'FAIL'} {what}: largest gap {gap:.1e}", flush=True)
    return not fine


def compare_fit(found, table, what, rho, ridge, intercept):
    a, theta = reference.fit(table, rho, ridge, intercept)
    bag, instance, spread = reference.losses(table, a, theta)
    return report(what, [(found["intercept"], a), (list(found["coefficients"].values()), theta),
                         (found["losses"]["bag"], bag), (found["losses"]["instance"], instance),
                         (found["losses"]["spread"], spread)])


def compare(binary, folder, name, bags, largest, features, seed):
    x, bag, response = made_rows(bags, largest, features, seed)
    means = np.bincount(bag, weights=response) / np.bincount(bag)
    table = reference.BagTable(x, bag, means)
    rows = os.path.join(folder, name + ".csv")
    write_rows(rows, x, bag, response, np.full(len(bag), True))
    options = ["--bag", "bag", "--response", "y"]
    # States of three tables with every third bag each, joined in another order.
    states = []
    for third in range(3):
        own = os.path.join(folder, f"{name}-{third}.csv")
        write_rows(own, x, bag, response, bag % 3 == third)
        states.insert(0, own.replace(".csv", ".safetensors"))
        run(binary, "fit", own, *options, "--rho", "1", "--save-state", states[0])
    joined = os.path.join(folder, name + ".safetensors")
    run(binary, "merge", *states, "--out", joined)
    failures = 0
    for rho, ridge, intercept in [(0, 0, True), (1, 0, True), (0.1, 0, True), (0.3, 2.5, True), (5, 0.1, True),
                                  (0.5, 1, False)]:
        words = ["--rho", str(rho), "--ridge", str(ridge)] + ([] if intercept else ["--no-intercept"])
        for source, more in ((rows, options), (joined, [])):
            found = run(binary, "fit", source, *more, *words)
            failures += compare_fit(found, table, f"{name}: {' '.join(words)} of {os.path.basename(source)}", rho,
                                    ridge, intercept)
    return failures + compare_choice(binary, joined, table, name)


def compare_choice(binary, joined, table, name):
    """The scores by which rho is chosen from a state, whose folds are by the names of bags."""
    tried = run(binary, "fit", joined)["tried"]
    folds = np.array([fold_of(f"b{a}") for a in range(len(table.y))])
    wanted = [reference.held_out_bag_loss(table, folds, one["rho"]) for one in tried]
    return report(f"{name}: held-out losses of {len(tried)} rho", [([one["held_out_bag_loss"] for one in tried],
                                                                   wanted)])


def fold_of(name, folds=5):
    """The first two words of the stream "fold of bag NAME" of seed 0, the high one first, modulo folds."""
    key = fnv1a64(f"fold of bag {name}")
    words = philox4x32((key & 0xFFFFFFFF, key >> 32), [np.zeros(1, np.uint64)] * 4)
    return (int(words[0][0]) << 32 | int(words[1][0])) % folds


def main():
    failures = 0
    with tempfile.TemporaryDirectory() as folder:
        failures += compare(sys.argv[1], folder, "small bags", 60, 4, 3, 1)
        failures += compare(sys.argv[1], folder, "large bags", 90, 40, 7, 2)
        failures += compare(sys.argv[1], folder, "single rows", 200, 1, 4, 3)
    print(f"{failures} differences")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
