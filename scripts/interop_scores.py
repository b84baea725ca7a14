"""Compares `amalgam rank` with the real choix, trueskill and SciPy.

    python interop_scores.py AMALGAM_BINARY WORK_FOLDER

Strengths of Bradley-Terry from battles, of Plackett-Luce from whole and partial rankings and of
ONEBench's choices must be choix's maximum likelihood, rank centrality choix's, and Gaussian skills
those of the trueskill package; Kendall's tau-b and Spearman's rho of rankings with ties, SciPy's.
"""

import csv
import json
import pathlib
import subprocess
import sys

import choix
import numpy as np
import trueskill
from scipy import stats


def run(*words):
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, words))} failed: {done.stderr}")
    return json.loads(done.stdout)


def write(path, header, rows):
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows(rows)
    return path


def strengths(ranked, systems):
    by_name = {entry["system"]: entry["score"] for entry in ranked["ranking"]}
    values = np.array([by_name[f"s{i}"] for i in range(systems)])
    return values - values.mean()


def bradley_terry(binary, work, rng):
    systems, battles = 20, 3000
    truth = rng.normal(size=systems)
    data = []
    for _ in range(battles):
        a, b = rng.choice(systems, 2, replace=False)
        first = rng.uniform() < 1 / (1 + np.exp(truth[b] - truth[a]))
        data.append((a, b) if first else (b, a))
    path = write(work / "battles.csv", ["model_a", "model_b", "winner"],
                 [(f"s{w}", f"s{l}", "model_a") if rng.uniform() < 0.5 else (f"s{l}", f"s{w}", "model_b")
                  for w, l in data])
    expected = choix.ilsr_pairwise(systems, data, max_iter=1000, tol=1e-12)
    found = strengths(run(binary, "rank", path, "--method", "bradley-terry", "--json"), systems)
    return np.abs(found - (expected - expected.mean())).max()


def plackett_luce(binary, work, rng, partial):
    systems, rankings = 15, 400
    truth = rng.normal(size=systems)
    data, rows = [], []
    for ballot in range(rankings):
        measured = systems if not partial else rng.integers(2, systems + 1)
        among = rng.choice(systems, measured, replace=False)
        # Noise of Gumbel's distribution makes rankings of Plackett and Luce's.
        order = among[np.argsort(-(truth[among] + rng.gumbel(size=measured)))]
        data.append(tuple(order))
        rows += [(f"s{system}", "t", ballot, -place) for place, system in enumerate(order)]
    path = write(work / "rankings.csv", ["system", "task", "instance", "score"], rows)
    expected = choix.ilsr_rankings(systems, data, max_iter=1000, tol=1e-12)
    found = strengths(run(binary, "rank", path, "--method", "plackett-luce", "--json"), systems)
    return np.abs(found - (expected - expected.mean())).max()


def top_choices(binary, work, rng):
    """Values that tie: each system is chosen from itself and all that are strictly worse."""
    systems, ballots = 10, 300
    truth = rng.normal(size=systems)
    data, rows = [], []
    for ballot in range(ballots):
        values = np.round(truth + rng.gumbel(size=systems))
        rows += [(f"s{system}", "t", ballot, value) for system, value in enumerate(values)]
        data += [(system, tuple(np.flatnonzero(values < values[system]))) for system in range(systems)
                 if (values < values[system]).any()]
    path = write(work / "ties.csv", ["system", "task", "instance", "score"], rows)
    expected = choix.ilsr_top1(systems, data, max_iter=1000, tol=1e-12)
    found = strengths(run(binary, "rank", path, "--method", "onebench", "-p", "form=top1", "--json"), systems)
    return np.abs(found - (expected - expected.mean())).max()


def rank_centrality(binary, work, rng):
    systems, battles = 12, 4000
    truth = rng.normal(size=systems) / 2
    data = []
    for _ in range(battles):
        a, b = rng.choice(systems, 2, replace=False)
        data.append((a, b) if rng.uniform() < 1 / (1 + np.exp(truth[b] - truth[a])) else (b, a))
    path = write(work / "wins.csv", ["model_a", "model_b", "winner"], [(f"s{w}", f"s{l}", "model_a") for w, l in data])
    expected = choix.rank_centrality(systems, data)
    found = strengths(run(binary, "rank", path, "--method", "rank-centrality", "--json"), systems)
    return np.abs(found - (expected - expected.mean())).max()


def gaussian_ratings(binary, work, rng):
    systems, battles = 8, 500
    environment = trueskill.TrueSkill()
    ratings = [environment.create_rating() for _ in range(systems)]
    rows = []
    for _ in range(battles):
        a, b = rng.choice(systems, 2, replace=False)
        tie = rng.uniform() < 0.2
        ratings[a], ratings[b] = environment.rate_1vs1(ratings[a], ratings[b], drawn=tie)
        rows.append((f"s{a}", f"s{b}", "tie" if tie else "model_a"))
    path = write(work / "stream.csv", ["model_a", "model_b", "winner"], rows)
    expected = np.array([rating.mu for rating in ratings])
    found = strengths(run(binary, "rank", path, "--method", "trueskill", "--json"), systems)
    return np.abs(found - (expected - expected.mean())).max()


def correlations(binary, work, rng, ties):
    systems = 200
    first, second = (rng.integers(1, ties, systems) if ties else rng.permutation(systems) + 1 for _ in range(2))
    paths = [write(work / f"ranking{i}.csv", ["system", "rank"], [(f"s{s}", r) for s, r in enumerate(ranks)])
             for i, ranks in enumerate((first, second))]
    found = run(binary, "rank", "compare", *paths, "--json")
    tau = stats.kendalltau(first, second).statistic
    rho = stats.spearmanr(first, second).statistic
    return max(abs(found["kendall_tau_b"] - tau), abs(found["spearman"] - rho))


def main():
    binary, work = sys.argv[1], pathlib.Path(sys.argv[2])
    work.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(1)
    checks = [
        ("bradley-terry, choix", lambda: bradley_terry(binary, work, rng), 1e-6),
        ("plackett-luce of whole rankings, choix", lambda: plackett_luce(binary, work, rng, False), 1e-6),
        ("plackett-luce of partial rankings, choix", lambda: plackett_luce(binary, work, rng, True), 1e-6),
        ("onebench by choices with ties, choix", lambda: top_choices(binary, work, rng), 1e-6),
        ("rank-centrality, choix", lambda: rank_centrality(binary, work, rng), 1e-6),
        ("trueskill, trueskill", lambda: gaussian_ratings(binary, work, rng), 1e-6),
        ("tau and rho without ties, SciPy", lambda: correlations(binary, work, rng, 0), 1e-12),
        ("tau and rho with ties, SciPy", lambda: correlations(binary, work, rng, 12), 1e-12),
    ]
    failures = 0
    for name, check, allowed in checks:
        difference = check()
        failures += not difference <= allowed
        print(f"{name:42} largest difference {difference:.1e}{'' if difference <= allowed else '  TOO LARGE'}")
    sys.exit(failures > 0)


if __name__ == "__main__":
    main()
