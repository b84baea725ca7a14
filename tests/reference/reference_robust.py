"""Byzantine-robust rules over contributions x_i - base (or x_i without a base)."""

import re

import numpy as np

LAYER = re.compile(r"layers\.\d+\.")
SMOOTHING = 1e-6


def contributions(view):
    return view.d if view.base is not None else view.x


def finish(view, aggregate):
    base = view.base64 if view.base is not None else 0.0
    scale = np.abs(base) + sum(np.abs(g) for g in contributions(view))
    return base + aggregate, scale


def mean_where(g, mask):
    """Mean of the masked members, summed in member order."""
    total = np.zeros(g[0].shape)
    for member, keep in zip(g, mask):
        total = total + np.where(keep, member, 0.0)
    return total / np.sum(mask, axis=0)


def middle(g):
    """Median over axis 0; the mean of the middle two for an even number."""
    ordered = np.sort(g, axis=0)
    half = len(g) // 2
    return ordered[half] if len(g) % 2 else (ordered[half - 1] + ordered[half]) / 2


def ranks(keys):
    """Rank of every member per coordinate, the lower member first among equals."""
    order = np.argsort(keys, axis=0, kind="stable")
    return np.argsort(order, axis=0, kind="stable")


def trimmed(g, f):
    rank = ranks(g)
    return mean_where(g, (rank >= f) & (rank < len(g) - f))


def nearest_to(g, centre, count):
    return mean_where(g, ranks(np.abs(g - centre)) < count)


def coordinate_rule(method, views):
    results = []
    for view in views:
        g = np.stack(contributions(view))
        f = int(view.rule("f", 0))
        if method == "median":
            out = middle(g)
        elif method == "trimmed_mean":
            out = trimmed(g, f)
        elif method == "meamed":
            out = nearest_to(g, middle(g), len(g) - f)
        else:
            out = nearest_to(g, trimmed(g, f), len(g) - f)  # phocas
        results.append(finish(view, out))
    return results


def select_krum(distance2, candidates, f):
    """The candidate with the least sum of its |candidates| - f - 2 smallest squared distances."""
    count = max(0, len(candidates) - f - 2)
    scores = [sum(sorted(distance2[i, j] for j in candidates if j != i)[:count]) for i in candidates]
    return candidates[int(np.argmin(scores))], scores


def vector_rule(method, views, scope):
    units = {}
    for view in views:
        layer = LAYER.search(view.name)
        key = layer.group(0) if scope == "layer" and layer else view.name  # what is in no layer is alone
        units.setdefault("" if scope == "model" else key, []).append(view)
    results = {}
    for unit in units.values():
        results |= zip((view.name for view in unit), vector_unit(method, unit))
    return [results[view.name] for view in views]


def vector_unit(method, unit):
    first = unit[0]
    n = len(first.members)
    g = [np.concatenate([contributions(view)[m].reshape(-1) for view in unit]) for m in range(n)]
    f = int(first.rule("f", 0))
    if method == "bulyan":
        chosen = select_bulyan(pairwise(g), n, f)
        results = []
        for view in unit:
            mine = np.stack([contributions(view)[m] for m in sorted(chosen)])
            results.append(finish(view, nearest_to(mine, middle(mine), len(chosen) - 2 * f)))
        return results
    if method == "krum":
        weights = np.zeros(n)
        weights[select_krum(pairwise(g), list(range(n)), f)[0]] = 1.0
    elif method == "multi_krum":
        _, scores = select_krum(pairwise(g), list(range(n)), f)
        count = int(first.rule("m", n - f - 2))
        weights = np.zeros(n)
        weights[np.argsort(scores, kind="stable")[:count]] = 1.0 / count
    elif method == "geometric_median":
        weights = weiszfeld(g)
    else:
        weights = flag_weights(g, first)
    return [finish(view, sum(w * x for w, x in zip(weights, contributions(view)))) for view in unit]


def pairwise(g):
    return np.array([[np.sum((a - b) ** 2) for b in g] for a in g])


def select_bulyan(distance2, n, f):
    remaining, chosen = list(range(n)), []
    while len(chosen) < n - 2 * f:
        best, _ = select_krum(distance2, remaining, f)
        chosen.append(best)
        remaining.remove(best)
    return chosen


def weiszfeld(g):
    n = len(g)
    weights = np.full(n, 1.0 / n)
    z = sum(w * x for w, x in zip(weights, g))
    for _ in range(100):
        inverse = np.array([1.0 / max(SMOOTHING, np.sqrt(np.sum((x - z) ** 2))) for x in g])
        weights = inverse / np.sum(inverse)
        moved = sum(w * x for w, x in zip(weights, g))
        change = np.sqrt(np.sum((moved - z) ** 2))
        z = moved
        if change <= 1e-8 * np.sqrt(np.sum(z * z)):
            break
    return weights


def flag_weights(g, first):
    """Flag aggregator by a plain SVD of the (normalised) contributions: coefficients of the members."""
    p = len(g)
    m = int(first.rule("m", -(-(p + 1) // 2)))
    regulariser = first.rule("lambda", 0.0)
    iterations = int(first.rule("iterations", 5))
    eps = 1e-7
    norms = np.array([np.sqrt(np.sum(x * x)) for x in g])
    unit = np.stack([x / norm if norm > 0 else x for x, norm in zip(g, norms)], axis=1)
    combos = [np.eye(p)[:, i] for i in range(p) if norms[i] > 0]
    b = [1.0] * len(combos)
    for i in range(p) if regulariser > 0 else []:
        for j in range(i + 1, p):
            combo = np.eye(p)[:, i] - np.eye(p)[:, j]
            length = np.sqrt(np.sum((unit @ combo) ** 2))
            if norms[i] > 0 and norms[j] > 0 and length > 0:
                combos.append(combo / length)
                b.append(2 * regulariser / (p * (p - 1)))
    if not combos:
        return np.zeros(p)
    columns, b = unit @ np.stack(combos, axis=1), np.array(b)
    reduced = np.linalg.qr(unit)[0]  # a basis of the span: the small problem has the same subspace
    columns = reduced.T @ columns
    weight = b.copy()
    best = (np.inf, None)
    previous = np.inf
    for _ in range(iterations):
        left, singular, _ = np.linalg.svd(columns * np.sqrt(weight), full_matrices=False)
        y = left[:, :m][:, singular[:m] > 1e-10 * singular[0]]
        v = np.clip(np.sum((y.T @ columns) ** 2, axis=0), 0, 1)
        objective = np.sum(b * np.sqrt(1 - v + eps))
        if objective < best[0]:
            best = (objective, y)
        if previous - objective < 1e-10:
            break
        previous = objective
        weight = b / np.sqrt(1 - v + eps)
    y = reduced @ best[1]
    aggregate = np.median(norms) / p * (y @ (y.T @ np.sum(unit, axis=1)))
    return np.linalg.lstsq(np.stack(g, axis=1), aggregate, rcond=None)[0]
