"""Label models that draw at random or solve for moments, in plain NumPy, as label_reference.py has the others."""

import numpy as np

from label_reference import add_per_task, confusion_counts, digamma, normalised, sigmoid, softmax, standard


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
