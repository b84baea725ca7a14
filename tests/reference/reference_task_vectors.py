"""Task-vector methods (docs/merge.md, "Task-vector family"), written from their formulas."""

import numpy as np

MASK = np.uint64(0xFFFFFFFF)


def fnv1a64(text):
    value = 0xCBF29CE484222325
    for byte in text.encode():
        value = ((value ^ byte) * 0x100000001B3) % 2**64
    return value


def philox4x32(key, counter):
    """Ten rounds of Philox4x32 on arrays of counters: four uint64 arrays holding 32-bit words."""
    c0, c1, c2, c3 = counter
    k0, k1 = (np.uint64(word) for word in key)
    for _ in range(10):
        p0 = c0 * np.uint64(0xD2511F53)
        p1 = c2 * np.uint64(0xCD9E8D57)
        c0, c1, c2, c3 = (p1 >> np.uint64(32)) ^ c1 ^ k0, p1 & MASK, (p0 >> np.uint64(32)) ^ c3 ^ k1, p0 & MASK
        k0 = (k0 + np.uint64(0x9E3779B9)) & MASK
        k1 = (k1 + np.uint64(0xBB67AE85)) & MASK
    return c0, c1, c2, c3


def uniforms(name, seed, member, count):
    """The uniform numbers of the elements 0 .. count-1 of an output tensor for one member."""
    key = fnv1a64(name) ^ seed
    block = np.arange((count + 3) // 4, dtype=np.uint64)
    zero = np.zeros_like(block)
    words = philox4x32(
        (key & 0xFFFFFFFF, key >> 32), (block & MASK, block >> np.uint64(32), zero + np.uint64(member), zero)
    )
    return np.stack(words, axis=1).reshape(-1)[:count] * 2.0**-32


def kept_count(density, count, kept):
    share = density * count
    return max(1, int(np.rint(share)) if kept == "round_half_even" else int(np.floor(share)))


def largest(magnitude, count):
    """Mask of the `count` largest magnitudes, the lowest index first among equals."""
    mask = np.zeros(magnitude.size, bool)
    mask[np.argsort(-magnitude, kind="stable")[:count]] = True
    return mask


def without_outliers(magnitude, density, gamma, kept):
    count = magnitude.size
    target = min(count, kept_count(density, count, kept))
    top = int(np.floor(gamma * count))
    bottom = count - target - top
    if bottom < 0:
        top, bottom = top + bottom, 0
    order = np.argsort(-magnitude, kind="stable")
    mask = np.zeros(count, bool)
    mask[order[top : count - bottom]] = True
    return mask


def by_rank(magnitude, shape, uniform, density, epsilon):
    """DELLA: within a row the keep probability rises linearly with the rank of the magnitude."""
    columns = shape[-1] if shape else 1
    rows = magnitude.reshape(-1, columns)
    order = np.argsort(rows, axis=1, kind="stable")
    rank = np.empty_like(order)
    np.put_along_axis(rank, order, np.arange(columns)[None, :], axis=1)
    if columns == 1:
        probability = np.full(rows.shape, density)
    else:
        probability = (density - epsilon) + 2 * epsilon * rank / (columns - 1)
    return uniform < probability.reshape(-1)


SPARSIFY = {
    "task_arithmetic": None,
    "ties": "magnitude",
    "dare_linear": "random",
    "dare_ties": "random",
    "breadcrumbs": "outliers",
    "breadcrumbs_ties": "outliers",
    "della": "magprune",
    "della_linear": "magprune",
}
CONSENSUS = {"ties", "dare_ties", "breadcrumbs_ties", "della"}
RESCALED = {"dare_linear", "dare_ties", "della", "della_linear"}
NORMALISED = {"ties", "della"}


def merge_task_vectors(method, views, seed):
    """One result per view. Everything after the difference is float64."""
    first = views[0]
    paper = first.rule("dialect", "mergekit") == "paper"
    scope = first.rule("scope", "model" if paper else "tensor")
    units = [views] if scope == "model" else [[view] for view in views]
    results = []
    for unit in units:
        results += merge_unit(method, unit, seed, paper)
    return results


def merge_unit(method, unit, seed, paper):
    first = unit[0]
    members = len(first.members)
    kept = first.rule("kept", "round_half_even" if paper else "floor")
    edges = np.cumsum([0] + [view.size for view in unit])
    d = [np.concatenate([view.d[m].reshape(-1) for view in unit]) for m in range(members)]

    rescale = first.rule("rescale", method in RESCALED)
    if paper and method in RESCALED and not first.given("rescale"):
        rescale = "inverse_density"
    for m in range(members):
        density = first.member("density", m, 1.0)
        before = d[m]
        if method != "task_arithmetic" and before.size:
            d[m] = np.where(sparse_mask(method, unit, m, before, density, kept, seed), before, 0.0)
            for begin, end in zip(edges[:-1], edges[1:]):  # norms are those of a tensor in any scope
                part = slice(begin, end)
                d[m][part] *= rescale_factor(rescale, before[part], d[m][part], density)
    trim = first.rule("trim_density", 0.2 if paper else 1.0) if method == "dare_ties" else 1.0
    if trim < 1:
        d = [np.where(largest(np.abs(x), kept_count(trim, x.size, kept)), x, 0.0) if x.size else x for x in d]

    weight = np.stack([
        np.concatenate([np.full(view.size, view.member("weight", m)) for view in unit]) for m in range(members)
    ])
    y = [weight[m] * d[m] for m in range(members)]
    if method in CONSENSUS:
        total, divisor, disjoint = consensus(first, y, weight, method, paper)
        normalize = disjoint == "mean"
    else:
        total, divisor = in_order(y), in_order(list(weight))
        divisor = np.where(np.abs(divisor) < 1e-8, 1.0, divisor)
        normalize = first.rule("normalize", False)
    if normalize:
        total = total / divisor
    total = total * first.rule("lambda", 1.0)

    results = []
    for view, begin, end in zip(unit, edges[:-1], edges[1:]):
        out = view.base64 + total[begin:end].reshape(view.shape)
        scale = np.abs(view.base64) + sum(np.abs(y[m][begin:end]) for m in range(members)).reshape(view.shape)
        results.append((out, scale))
    return results


def in_order(terms):
    total = terms[0]
    for term in terms[1:]:
        total = total + term
    return total


def sparse_mask(method, unit, member, d, density, kept, seed):
    kind = SPARSIFY[method]
    first = unit[0]
    magnitude = np.abs(d)
    if kind == "magnitude":
        return largest(magnitude, kept_count(density, d.size, kept) if density < 1 else d.size)
    if kind == "outliers":
        return without_outliers(magnitude, density, first.member("gamma", member, 0.01), kept)
    uniform = [uniforms(view.name, seed, member, view.size) for view in unit]
    if kind == "random":
        return np.concatenate(uniform) < density
    epsilon = first.member("epsilon", member, 0.15)
    return np.concatenate([
        by_rank(np.abs(view.d[member]).reshape(-1), view.shape, u, density, epsilon) if view.size else np.zeros(0, bool)
        for view, u in zip(unit, uniform)
    ])


def rescale_factor(rescale, before, after, density):
    if rescale in (False, "false"):
        return 1.0
    if rescale == "inverse_density":
        return 1.0 / density
    if before.size == 0:
        return 1.0
    norm = {"l2": lambda x: np.sqrt(np.sum(x * x)), "linf": lambda x: np.max(np.abs(x))}.get(
        rescale, lambda x: np.sum(np.abs(x))
    )
    if norm(before) < 1e-7 or norm(after) < 1e-7:
        return 1.0
    return norm(before) / norm(after)


def consensus(first, y, weight, method, paper):
    """The sum over the members that agree with the elected sign, and the sum of their weights."""
    elected = in_order([np.sign(x) for x in y] if first.rule("elect", "sum") == "count" else y)
    sign = np.where(elected >= 0, 1.0, -1.0)
    if first.rule("zero_sign", "majority" if paper else "plus") == "majority":
        sign[elected == 0] = 1.0 if np.sum(np.sign(elected)) >= 0 else -1.0
    agree = [np.sign(x) == sign for x in y]
    disjoint = first.rule("disjoint", None)
    if disjoint is None:
        mean = True if paper and not first.given("normalize") else first.rule("normalize", method in NORMALISED)
        disjoint = "mean" if mean else "sum"
    if disjoint == "max":
        total = sign * np.max([np.where(a, np.abs(x), 0.0) for a, x in zip(agree, y)], axis=0)
    else:
        total = in_order([np.where(a, x, 0.0) for a, x in zip(agree, y)])
    divisor = in_order([np.where(a, w, 0.0) for a, w in zip(agree, weight)])
    return total, np.where(divisor == 0, 1.0, divisor), disjoint
