"""Label models in plain NumPy, written from the papers' equations, to compare `amalgam label` with.

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


def mace(crowd, iterations=50, variational=True, random=None, restarts=10):
    """random: None starts from equal workers, once."""
    rows = np.arange(len(crowd.task))
    best = None
    for _ in range(restarts if random is not None else 1):
        def start(*shape):
            values = np.ones(shape) if random is None else random.uniform(1, 2.5, shape)
            return values / values.sum(axis=-1, keepdims=True)
        rho, xi = start(crowd.workers, 2), start(crowd.workers, crowd.classes)
        for t in range(iterations):
            spam = rho[crowd.worker, 0] * xi[crowd.worker, crowd.label]
            know = rho[crowd.worker, 1]
            terms = np.repeat(np.log(spam)[:, None], crowd.classes, axis=1)
            terms[rows, crowd.label] = np.log(spam + know)
            logits = add_per_task(crowd, np.full(crowd.classes, -np.log(crowd.classes)), terms)
            p = softmax(logits)
            likelihood = np.logaddexp.reduce(logits, axis=1).sum()
            if t + 1 == iterations:
                break
            knows = p[crowd.task, crowd.label] * know / (spam + know)
            counts = np.stack([crowd.per_worker(1 - knows), crowd.per_worker(knows)], axis=1)
            strategy = np.zeros((crowd.workers, crowd.classes))
            np.add.at(strategy, (crowd.worker, crowd.label), crowd.weight * (1 - knows))
            if variational:
                def expected(n, prior):
                    n = n + prior
                    return np.exp(digamma(n) - digamma(n.sum(axis=1, keepdims=True)))
                rho, xi = expected(counts, 0.5), expected(strategy, 10)
            else:
                rho, xi = normalised(counts + 0.01 / crowd.classes), normalised(strategy + 0.01 / crowd.classes)
        if best is None or likelihood > best[0]:
            best = likelihood, p
    return best[1]


def kos(crowd, random, iterations=100):
    sign = crowd.weight * (2 * crowd.label - 1)
    to_task = random.normal(1, 1, len(crowd.task))
    for _ in range(iterations):
        to_worker = np.bincount(crowd.task, sign * to_task, crowd.tasks)[crowd.task] - sign * to_task
        to_task = np.bincount(crowd.worker, sign * to_worker, crowd.workers)[crowd.worker] - sign * to_worker
        to_task /= np.sqrt((to_task ** 2).mean())
    margin = np.bincount(crowd.task, sign * to_task, crowd.tasks)
    return np.stack([margin < 0, margin > 0], axis=1) * 1.0 + 0.5 * (margin == 0)[:, None]


def bcc(crowd, random, burn_in=100, samples=500, diagonal=2.0, off_diagonal=1.0):
    prior = np.where(np.eye(crowd.classes) > 0, diagonal, off_diagonal)
    p = standard(crowd)
    total = np.zeros_like(p)

    def draw(p):
        return np.minimum((p.cumsum(axis=1) < random.random((crowd.tasks, 1))).sum(axis=1), crowd.classes - 1)

    def log_dirichlet(shapes, axis):
        draws = np.log(np.maximum(random.gamma(shapes), 1e-300))
        return draws - np.logaddexp.reduce(draws, axis=axis, keepdims=True)

    z = draw(p)
    for sweep in range(1, burn_in + samples + 1):
        one_hot = np.eye(crowd.classes)[z]
        logs = log_dirichlet(confusion_counts(crowd, one_hot) + prior, 1)
        start = log_dirichlet(one_hot.sum(axis=0) + 1, 0)
        z = draw(softmax(add_per_task(crowd, start, logs[crowd.worker, crowd.label])))
        if sweep > burn_in:
            total += np.eye(crowd.classes)[z]
    return total / samples


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


def pairs_of(crowd):
    """Pairs of rows of the same task by different workers, each in both orders."""
    order = np.argsort(crowd.task, kind="stable")
    bounds = np.searchsorted(crowd.task[order], np.arange(crowd.tasks + 1))
    first, second = [], []
    for begin, end in zip(bounds[:-1], bounds[1:]):
        rows = order[begin:end]
        a, b = np.meshgrid(rows, rows, indexing="ij")
        apart = crowd.worker[a] != crowd.worker[b]
        first.append(a[apart])
        second.append(b[apart])
    return np.concatenate(first), np.concatenate(second)


def pair_table(crowd, a, b, values):
    table = np.zeros((crowd.workers, crowd.workers))
    np.add.at(table, (crowd.worker[a], crowd.worker[b]), crowd.weight[a] * crowd.weight[b] * values)
    return table


def trimmed(values, centre, trim):
    values = np.sort(values)
    below, above = (values < centre).sum(), (values > centre).sum()
    kept = values[min(below, trim):len(values) - min(above, trim)]
    return kept.mean() if len(kept) else centre


def m_msr(crowd):
    k = crowd.classes
    a, b = pairs_of(crowd)
    common = pair_table(crowd, a, b, 1.0)
    agree = pair_table(crowd, a, b, crowd.label[a] == crowd.label[b])
    met = common > 0
    c = np.where(met, k / (k - 1) * agree / np.where(met, common, 1) - 1 / (k - 1), 0)
    trim = max(met.sum(axis=1)[met.any(axis=1)].min() // 2 - 1, 0)
    u = np.full(crowd.workers, np.sqrt(np.abs(c[met]).mean()))
    v = u.copy()

    def half(source, target):
        return np.array([trimmed(np.abs(c[w, met[w] & (source > 0)]) / source[met[w] & (source > 0)], target[w], trim)
                         for w in range(crowd.workers)])

    for _ in range(10000):
        before_u, before_v = u, v
        v = half(u, v)
        u = half(v, u)
        change = (np.linalg.norm(u - before_u) * np.linalg.norm(v)
                  + np.linalg.norm(before_u) * np.linalg.norm(v - before_v))
        if change < 1e-10:
            break
    u = u * np.sqrt(np.linalg.norm(v) / np.linalg.norm(u))
    root = np.sqrt(np.maximum(met.sum(axis=1), 1))
    side = np.linalg.eigh(np.sign(c) / np.outer(root, root))[1][:, -1]
    side = np.where(side < 0, -1, 1)
    side = -side if (side * u).sum() < 0 else side
    margin = 1 / np.sqrt(crowd.tasks)
    reliability = np.clip(side * u, min(1 - margin, -1 / (k - 1) + margin), 1 - margin)
    skill = reliability * (k - 1) / k + 1 / k
    weights = np.where(met.any(axis=1), np.log(skill * (k - 1) / (1 - skill)), 0)
    return softmax(crowd.votes(weights))


def generative(crowd, scale, iterations=100, rate=0.01, momentum=0.9):
    """scale: the random number in [0, 1) that the start is multiplied by."""
    k, n = crowd.classes, crowd.tasks
    indicators = np.zeros((n, crowd.workers * k))
    np.add.at(indicators, (crowd.task, crowd.worker * k + crowd.label), crowd.weight)
    overlaps = indicators.T @ indicators / n
    mask = 1 - np.kron(np.eye(crowd.workers), np.ones((k, k)))
    alone = indicators.sum(axis=0) / n
    p = np.full(k, 1 / k)
    mu = np.zeros((crowd.workers * k, k))
    for i in range(len(mu)):
        mu[i, i % k] = np.clip(alone[i] * 0.7 / p[i % k], 0, 1)
    mu *= scale
    velocity = np.zeros_like(mu)
    for _ in range(iterations):
        error = mask * (overlaps - (mu * p) @ mu.T)
        gradient = -4 * error @ (mu * p) + 2 * np.outer(mu @ p - alone, p)
        velocity = momentum * velocity + gradient
        mu = mu - rate * velocity
    least = min(0.01, 10.0 ** -np.ceil(np.log10(n)))
    mu = np.clip(mu, least, 1 - least)
    # With a start on the diagonals the columns stay in their order for the crowds compared here.
    return softmax(add_per_task(crowd, np.log(p), np.log(mu)[crowd.worker * k + crowd.label]))


def flying_squid(crowd):
    k = crowd.classes
    a, b = pairs_of(crowd)
    common = pair_table(crowd, a, b, 1.0)
    seen = crowd.per_worker(np.ones(len(crowd.task)))
    p = 1 / k
    result = np.zeros((crowd.tasks, k))
    for c in ([1] if k == 2 else range(k)):
        vote = np.where(crowd.label == c, 1, -1)
        moment = np.where(common > 0, pair_table(crowd, a, b, vote[a] * vote[b]) / np.where(common > 0, common, 1), 0)
        size = np.zeros(crowd.workers)
        for w in range(crowd.workers):
            others = np.flatnonzero((common[w] > 0) & (np.arange(crowd.workers) != w))
            j, l = np.triu_indices(len(others), 1)
            j, l = others[j], others[l]
            valid = (common[j, l] > 0) & (np.abs(moment[j, l]) >= 1e-12)
            if valid.any():
                j, l = j[valid], l[valid]
                size[w] = np.median(np.sqrt(np.abs(moment[w, j] * moment[w, l] / moment[j, l])))
        size = np.minimum(size, 1)
        mean = crowd.per_worker(vote) / seen
        truth = 2 * p - 1
        right = np.clip((1 + mean + truth + size) / 4 / p, .01, .99)
        wrong = np.clip((1 + mean - truth - size) / 4 / (1 - p), .01, .99)
        known = size > 0
        for_it = np.where(known, np.log(right / wrong), 0)
        against = np.where(known, np.log((1 - right) / (1 - wrong)), 0)
        odds = np.log(p / (1 - p)) + crowd.per_task(np.where(vote > 0, for_it[crowd.worker], against[crowd.worker]))
        result[:, c] = sigmoid(odds)
    if k == 2:
        result[:, 0] = 1 - result[:, 1]
        return result
    return softmax(result)


def settled(met, u):
    """In each connected part the sum is not negative, and if the part is of two sides they have equal norms."""
    u = u.copy()
    side = np.full(len(u), -1)
    for first in range(len(u)):
        if side[first] >= 0:
            continue
        side[first] = 0
        part = [first]
        for w in part:
            for other in np.flatnonzero(met[w]):
                if side[other] < 0:
                    side[other] = 1 - side[w]
                    part.append(other)
        part = np.array(part)
        one_sided = met[np.ix_(part, part)] & (side[part][:, None] == side[part][None, :])
        left, right = part[side[part] == 0], part[side[part] == 1]
        norms = np.linalg.norm(u[left]), np.linalg.norm(u[right])
        if not one_sided.any() and min(norms) > 0:
            u[left] *= np.sqrt(norms[1] / norms[0])
            u[right] *= np.sqrt(norms[0] / norms[1])
        if u[part].sum() < 0:
            u[part] = -u[part]
    return u


def weaver(crowd):
    a, b = pairs_of(crowd)
    yes = crowd.label.astype(float)
    common = pair_table(crowd, a, b, 1.0)
    safe = np.where(common > 0, common, 1)
    both, one = pair_table(crowd, a, b, yes[a] * yes[b]) / safe, pair_table(crowd, a, b, yes[a]) / safe
    c = np.where(common > 0, both - one * one.T, 0)
    values, vectors = np.linalg.eigh(c)
    u = vectors[:, -1] * np.sqrt(max(values[-1], 0))
    u = -u if u.sum() < 0 else u
    typical = np.sqrt(np.abs(c).mean())
    u = np.where(np.abs(u) < typical / 10, np.where(u < 0, -typical, typical), u)
    for _ in range(10000):
        before = u.copy()
        for w in range(crowd.workers):
            below = (common[w] * u * u).sum()
            u[w] = (common[w] * c[w] * u).sum() / below if below > 0 else 0
        if np.abs(u - before).max() <= 1e-14:
            break
    u = settled(common > 0, u)
    mean = crowd.per_worker(yes) / crowd.per_worker(np.ones(len(yes)))
    x = u[crowd.worker] * (yes - mean[crowd.worker])
    square = u[crowd.worker] ** 2

    def triples(values):
        s1, s2, s3 = (np.bincount(crowd.task, values ** power, crowd.tasks) for power in (1, 2, 3))
        return ((s1 ** 3 - 3 * s1 * s2 + 2 * s3) / 6).sum()

    skew = triples(x) / triples(square)
    p = np.clip((1 - skew / np.sqrt(4 + skew * skew)) / 2, .01, .99)
    apart = u / np.sqrt(p * (1 - p))
    true_yes = np.clip(mean + (1 - p) * apart, .01, .99)
    false_yes = np.clip(mean - p * apart, .01, .99)
    weight = np.where(yes > 0, np.log(true_yes / false_yes)[crowd.worker],
                      np.log((1 - true_yes) / (1 - false_yes))[crowd.worker])
    probability = sigmoid(np.log(p / (1 - p)) + crowd.per_task(weight))
    return np.stack([1 - probability, probability], axis=1)


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
