"""Label models that count votes or maximise expectations, in plain NumPy, to compare `amalgam label` with.

Written from the papers' equations; moment_reference.py has those that draw at random or solve for moments.

Every function takes a Crowd and returns the posterior [tasks, classes]. Slow and short on purpose.
"""

import csv

import numpy as np

FLOOR = 1e-10


class Crowd:
    """Annotations as index arrays: task[i] was given label[i] by worker[i], counting weight[i] times."""

    def __init__(self, task, worker, label, tasks, workers, classes, weight=None):
        self.task, self.worker, self.label = (np.asarray(x) for x in (task, worker, label))
        self.tasks, self.workers, self.classes = tasks, workers, classes
        self.weight = np.ones(len(self.task)) if weight is None else np.asarray(weight, float)

    def votes(self, weights=None):
        counts = np.zeros((self.tasks, self.classes))
        by_row = self.weight if weights is None else self.weight * weights[self.worker]
        np.add.at(counts, (self.task, self.label), by_row)
        return counts

    def per_worker(self, values):
        return np.bincount(self.worker, weights=self.weight * values, minlength=self.workers)

    def per_task(self, values):
        return np.bincount(self.task, weights=self.weight * values, minlength=self.tasks)


def in_label_order(names):
    try:
        return sorted(names, key=int)
    except ValueError:
        return sorted(names, key=lambda name: name.encode())


def read_crowd(path):
    """The crowd, and the names of its tasks and labels."""
    with open(path, encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    names = {column: in_label_order({row[column] for row in rows}) for column in ("task", "worker", "label")}
    index = {column: {name: i for i, name in enumerate(names[column])} for column in names}
    columns = [[index[column][row[column]] for row in rows] for column in ("task", "worker", "label")]
    weight = [np.float32(row["weight"]) for row in rows] if "weight" in rows[0] else None
    crowd = Crowd(*columns, *(len(names[column]) for column in ("task", "worker", "label")), weight)
    return crowd, names["task"], names["label"]


def normalised(rows):
    sums = rows.sum(axis=1, keepdims=True)
    return np.where(sums > 0, rows / np.where(sums > 0, sums, 1), 1 / rows.shape[1])


def softmax(logits):
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    return exponentials / exponentials.sum(axis=1, keepdims=True)


def hard(p):
    """The first class within 1e-12 of the largest."""
    return np.argmax(p >= p.max(axis=1, keepdims=True) - 1e-12, axis=1)


def standard(crowd):
    return normalised(crowd.votes())


def softmax_votes(crowd):
    return softmax(crowd.votes())


def majority_vote(crowd):
    votes = crowd.votes()
    return normalised((votes >= votes.max(axis=1, keepdims=True) - 1e-12).astype(float))


def weighted_majority(crowd):
    votes = crowd.votes()
    return normalised(votes * votes.sum(axis=0) / votes.sum())


def agreement(crowd, labels):
    return crowd.per_worker(crowd.label == labels[crowd.task]) / crowd.per_worker(np.ones(len(crowd.task)))


def by_skill(crowd, skills):
    votes = crowd.votes(skills)
    return np.where(votes.sum(axis=1, keepdims=True) > 0, normalised(votes), standard(crowd))


def wawa(crowd):
    return by_skill(crowd, agreement(crowd, hard(crowd.votes())))


def zero_based_skill(crowd, iterations=100):
    skills = np.full(crowd.workers, 1 / crowd.classes + 1e-5)
    rate = 1.0
    for t in range(1, iterations + 1):
        if t % 20 == 0:
            rate /= 2
        skills = skills + rate * (agreement(crowd, hard(crowd.votes(skills))) - skills)
    return by_skill(crowd, skills)


def gold_majority(crowd, gold):
    """gold[task] is a class, or -1."""
    known = gold[crowd.task] >= 0
    right = crowd.per_worker(known & (crowd.label == gold[crowd.task]))
    seen = crowd.per_worker(known)
    return by_skill(crowd, np.where(seen > 0, right / np.where(seen > 0, seen, 1), right.sum() / seen.sum()))


def confusion_counts(crowd, p):
    """[workers, said, true]"""
    counts = np.zeros((crowd.workers, crowd.classes, crowd.classes))
    np.add.at(counts, (crowd.worker, crowd.label), crowd.weight[:, None] * p[crowd.task])
    return counts


def log_confusion(counts, diagonal=0.0, off_diagonal=0.0):
    prior = np.where(np.eye(counts.shape[1]) > 0, diagonal, off_diagonal)
    counts = np.maximum(counts + prior, FLOOR)
    return np.log(counts / counts.sum(axis=1, keepdims=True))


def add_per_task(crowd, start, rows):
    logits = np.tile(start, (crowd.tasks, 1))
    np.add.at(logits, crowd.task, crowd.weight[:, None] * rows)
    return logits


def dawid_skene(crowd, iterations, diagonal=0.0, off_diagonal=0.0):
    p = standard(crowd)
    for _ in range(iterations):
        logs = log_confusion(confusion_counts(crowd, p), diagonal, off_diagonal)
        prior = np.log(np.maximum(p.mean(axis=0), FLOOR))
        p = softmax(add_per_task(crowd, prior, logs[crowd.worker, crowd.label]))
    return p


def fast_dawid_skene(crowd, iterations=100):
    labels = hard(standard(crowd))
    for _ in range(iterations):
        one_hot = np.eye(crowd.classes)[labels]
        logs = log_confusion(confusion_counts(crowd, one_hot))
        prior = np.log(np.maximum(one_hot.mean(axis=0), FLOOR))
        logits = add_per_task(crowd, prior, logs[crowd.worker, crowd.label])
        before, labels = labels, hard(logits)
        if np.array_equal(before, labels):
            break
    return softmax(logits)


def one_coin(crowd, iterations, learns_prior=True):
    p = standard(crowd)
    said = np.eye(crowd.classes)[crowd.label]
    for _ in range(iterations):
        skill = crowd.per_worker(p[crowd.task, crowd.label]) / crowd.per_worker(np.ones(len(crowd.task)))
        skill = np.clip(skill, FLOOR, 1 - FLOOR)[crowd.worker][:, None]
        prior = p.mean(axis=0) if learns_prior else np.full(crowd.classes, 1 / crowd.classes)
        rows = np.where(said > 0, np.log(skill), np.log((1 - skill) / (crowd.classes - 1)))
        p = softmax(add_per_task(crowd, np.log(np.maximum(prior, FLOOR)), rows))
    return p


def zencrowd(crowd, iterations):
    return one_coin(crowd, iterations, learns_prior=False)


def sigmoid(x):
    return np.where(x >= 0, 1 / (1 + np.exp(-np.abs(x))), np.exp(-np.abs(x)) / (1 + np.exp(-np.abs(x))))


def glad_gradient(crowd, q, ability, ease):
    e = np.exp(ease)[crowd.task]
    residual = q - sigmoid(ability[crowd.worker] * e)
    return (crowd.per_worker(residual * e) - (ability - 1),
            crowd.per_task(residual * ability[crowd.worker] * e) - (ease - 1))


def glad_maximum(crowd, q, ability, ease, tolerance=1e-8):
    """Newton's method with the Hessian as a dense matrix: workers first, the tasks' diagonal eliminated."""

    def value(ability, ease):
        x = ability[crowd.worker] * np.exp(ease)[crowd.task]
        data = (crowd.weight * (-np.logaddexp(0, -x) - (1 - q) * x)).sum()
        return data - 0.5 * ((ability - 1) ** 2).sum() - 0.5 * ((ease - 1) ** 2).sum()

    def step_of(slope_a, slope_b, exact):
        e = np.exp(ease)[crowd.task]
        x = ability[crowd.worker] * e
        s = sigmoid(x)
        bend, rest = s * (1 - s), (q - s if exact else 0 * s)
        workers = 1 + crowd.per_worker(bend * e * e)
        tasks = 1 + crowd.per_task(bend * x * x - rest * x)
        mixed = np.zeros((crowd.workers, crowd.tasks))
        np.add.at(mixed, (crowd.worker, crowd.task), crowd.weight * (bend * x * e - rest * e))
        reduced = np.diag(workers) - (mixed / tasks) @ mixed.T
        if tasks.min() <= 0 or np.linalg.eigvalsh(reduced)[0] <= 0:
            return None
        step_a = np.linalg.solve(reduced, slope_a - mixed @ (slope_b / tasks))
        return step_a, (slope_b - mixed.T @ step_a) / tasks

    for _ in range(500):
        slope_a, slope_b = glad_gradient(crowd, q, ability, ease)
        if np.sqrt((slope_a ** 2).sum() + (slope_b ** 2).sum()) <= tolerance:
            return ability, ease
        step_a, step_b = step_of(slope_a, slope_b, True) or step_of(slope_a, slope_b, False)
        before, length = value(ability, ease), 1.0
        while value(ability + length * step_a, ease + length * step_b) < before - 1e-12 * (1 + abs(before)):
            length /= 2
        ability, ease = ability + length * step_a, ease + length * step_b
    raise RuntimeError("GLAD's maximisation did not converge")


def glad(crowd, iterations):
    ability, ease = np.ones(crowd.workers), np.ones(crowd.tasks)
    said = np.eye(crowd.classes)[crowd.label]
    for t in range(iterations):
        x = (ability[crowd.worker] * np.exp(ease)[crowd.task])[:, None]
        right, wrong = -np.logaddexp(0, -x), -np.logaddexp(0, x) - np.log(crowd.classes - 1)
        p = softmax(add_per_task(crowd, np.zeros(crowd.classes), np.where(said > 0, right, wrong)))
        if t + 1 < iterations:
            ability, ease = glad_maximum(crowd, p[crowd.task, crowd.label], ability, ease)
    return p


def digamma(x):
    below = np.zeros_like(x)
    x = x.copy()
    for _ in range(12):
        small = x < 12
        below = np.where(small, below - 1 / x, below)
        x = np.where(small, x + 1, x)
    r = 1 / (x * x)
    return below + np.log(x) - 0.5 / x - r * (1 / 12 - r * (1 / 120 - r * (1 / 252 - r * (1 / 240 - r / 132))))


def variational_bcc(crowd, iterations, diagonal=2.0, off_diagonal=1.0):
    prior = np.where(np.eye(crowd.classes) > 0, diagonal, off_diagonal)
    p = standard(crowd)
    for _ in range(iterations):
        shapes = confusion_counts(crowd, p) + prior
        logs = digamma(shapes) - digamma(shapes.sum(axis=1, keepdims=True))
        classes = p.sum(axis=0) + 1
        start = digamma(classes) - digamma(np.array([classes.sum()]))
        p = softmax(add_per_task(crowd, start, logs[crowd.worker, crowd.label]))
    return p


def centroid(members):
    """Of [members, tasks, classes], the Jensen-Shannon centroid of each task."""
    members = np.maximum(members, 1e-10)
    members = members / members.sum(axis=2, keepdims=True)
    at = members.mean(axis=0)
    for _ in range(1000):
        halfway = np.log((at[None] + members) / 2)
        after = softmax((halfway[:, :, :] - halfway[:, :, -1:]).mean(axis=0))
        done = np.abs(after - at)[:, :-1].sum(axis=1).max() < 1e-10
        at = after
        if done:
            break
    return at
