"""An independent reference of every merge method in NumPy, written from the formulas alone.

`merge` takes checkpoints as dicts of name -> Stored (reference_files.py) and returns for every tensor the
unrounded float64 result with a scale |b| + sum |w_i d_i|, against which errors are measured.

The arithmetic that the formulas fix: the difference d = x - b is one subtraction in float32 (in float64
where an input is F64); everything after it is float64, sums in member order; one rounding at the end.
"""

import numpy as np

from reference_robust import coordinate_rule, vector_rule
from reference_task_vectors import CONSENSUS, SPARSIFY, in_order, merge_task_vectors


class Refused(Exception):
    """The formulas are undefined for this input: the command must say so and exit with code 2."""


class View:
    """One output tensor: the members' values, differences and parameters."""

    def __init__(self, name, members, base, parameters, fisher=None):
        stored = members + ([base] if base is not None else [])
        double = any(tensor.dtype == "F64" for tensor in stored)
        self.type = np.float64 if double else np.float32
        self.name = name
        self.members = members
        self.base = base
        self.shape = members[0].values.shape
        self.size = members[0].values.size
        self.dtype = (base or members[0]).dtype
        self.parameters = parameters
        self.fisher = fisher
        self.x = [tensor.values for tensor in members]
        self.base64 = base.values if base is not None else None
        self.d = None
        if base is not None:
            b = base.values.astype(self.type)
            self.d = [(tensor.values.astype(self.type) - b).astype(np.float64) for tensor in members]

    def given(self, name):
        return name in self.parameters

    def rule(self, name, default):
        return self.parameters[name].rule(self.name) if name in self.parameters else default

    def member(self, name, index, default=None):
        return self.parameters[name].member(index, self.name) if name in self.parameters else default


def total_scale(terms):
    return sum(np.abs(term) for term in terms)


# Rules that look at one tensor: view -> (float64 result, scale) -----------------------------------------


def linear(view):
    weights = [view.member("weight", m) for m in range(len(view.x))]
    terms = [w * x for w, x in zip(weights, view.x)]
    total = in_order(terms)
    if view.rule("normalize", True):
        total = total / in_order(weights)
    return total, total_scale(terms)


def unit_vector(x):
    norm = np.sqrt(np.sum(x * x))
    return x / norm if norm > 1e-8 else x


def slerp(view):
    a, b = view.base64, view.x[0]
    t = view.rule("t", None)
    cosine = np.clip(np.sum(unit_vector(a) * unit_vector(b)), -1, 1)
    if np.abs(cosine) > 0.9995:
        terms = [(1 - t) * a, t * b]
    else:
        theta = np.arccos(cosine)
        terms = [np.sin((1 - t) * theta) * a / np.sin(theta), np.sin(t * theta) * b / np.sin(theta)]
    return terms[0] + terms[1], total_scale(terms) + np.abs(a) + np.abs(b)


def nuslerp(view):
    v = view.d if view.base is not None else view.x
    w = [view.member("weight", m) for m in range(2)]
    t = w[1] / (w[0] + w[1]) if abs(w[0] + w[1]) >= 1e-6 else 0.5
    flatten, row_wise = view.rule("nuslerp_flatten", True), view.rule("nuslerp_row_wise", False)
    axis = None if flatten or not view.shape else (0 if row_wise else -1)

    def normalised(x):
        norm = np.sqrt(np.sum(x * x, axis=axis, keepdims=True))
        return np.where(norm > 1e-8, x / np.where(norm > 0, norm, 1.0), x)

    cosine = np.clip(np.sum(normalised(v[0]) * normalised(v[1]), axis=axis, keepdims=True), -1, 1)
    theta = np.arccos(cosine)
    sine = np.sin(theta)
    straight = sine < 1e-8
    safe = np.where(straight, 1.0, sine)
    terms = [
        np.where(straight, 1 - t, np.sin((1 - t) * theta) / safe) * v[0],
        np.where(straight, t, np.sin(t * theta) / safe) * v[1],
    ]
    base = view.base64 if view.base is not None else 0.0
    scale = np.abs(base) + total_scale(terms) + total_scale(v)
    return (base + terms[0] + terms[1]).reshape(view.shape), scale.reshape(view.shape)


def multislerp(view):
    v = view.d if view.base is not None else view.x
    w = np.array([view.member("weight", m) for m in range(len(v))])
    eps = view.rule("eps", 1e-8)
    if view.rule("normalize_weights", True):
        w = w / np.sum(w)
    norms = [np.sqrt(np.sum(x * x)) for x in v]
    u = [x / (norm + eps) for x, norm in zip(v, norms)]
    mu = in_order([wi * ui for wi, ui in zip(w, u)])
    length = np.sqrt(np.sum(mu * mu))
    base = view.base64 if view.base is not None else 0.0
    scale = np.abs(base) + total_scale([wi * x for wi, x in zip(w, v)])
    if length < eps:
        if view.size and len(v) != 2:
            raise Refused(f"multislerp: the directions of '{view.name}' cancel")
        return base + in_order([wi * x for wi, x in zip(w, v)]), scale
    mu = mu / length
    tangent = in_order([wi * (ui - np.sum(ui * mu) * mu) for wi, ui in zip(w, u)])
    r = np.sqrt(np.sum(tangent * tangent)) + eps
    size = in_order([wi * norm for wi, norm in zip(w, norms)])
    out = (np.cos(r) * mu + np.sin(r) / r * tangent) * size
    return base + out, scale + np.abs(out)


def karcher(view):
    tolerance, n = view.rule("tol", 1e-5), len(view.x)
    norms = [np.sqrt(np.sum(x * x)) for x in view.x]
    units = [x / norm for x, norm in zip(view.x, norms) if norm > tolerance]
    if not units:
        return np.zeros(view.shape), np.zeros(view.shape)
    share = 1.0 / len(units)
    u = in_order([share * unit for unit in units])
    length = np.sqrt(np.sum(u * u))
    u = units[0] if length < tolerance else u / length
    for _ in range(int(view.rule("max_iter", 10))):
        tangent = np.zeros(view.shape)
        for unit in units:
            cosine = np.clip(np.sum(unit * u), -1, 1)
            theta = np.arccos(cosine)
            factor = theta / np.sin(theta) if np.sin(theta) > 0 else 1.0
            tangent = tangent + share * factor * (unit - cosine * u)
        length = np.sqrt(np.sum(tangent * tangent))
        if length < tolerance:
            break
        u = np.cos(length) * u + np.sin(length) * tangent / length
        u = u / np.sqrt(np.sum(u * u))
    out = u * sum(norms) / n
    return out, np.abs(out) + total_scale(view.x) / n


def model_stock(view):
    n = len(view.d)
    per_row = view.rule("filter_wise", False) and view.shape
    axis = -1 if per_row else None
    cosines = []
    for i in range(n):
        for j in range(i + 1, n):
            dot = np.sum(view.d[i] * view.d[j], axis=axis, keepdims=True)
            product = np.sqrt(np.sum(view.d[i] ** 2, axis=axis, keepdims=True)) * np.sqrt(
                np.sum(view.d[j] ** 2, axis=axis, keepdims=True)
            )
            cosines.append(np.clip(dot / np.maximum(product, 1e-6), -1, 1))
    c = in_order(cosines) / len(cosines)
    if view.size and np.any(1 + (n - 1) * c <= 1e-6):
        raise Refused(f"model_stock: the task vectors of '{view.name}' are opposed")
    t = n * c / (1 + (n - 1) * c)
    mean = in_order(view.x) / n
    out = (t * mean + (1 - t) * view.base64).reshape(view.shape)
    return out, (np.abs(t * mean) + np.abs((1 - t) * view.base64)).reshape(view.shape)


def nearswap(view):
    a, b = view.base64, view.x[0]
    w = np.clip(view.rule("t", None) / np.maximum(np.abs(view.d[0]), 1e-6), 0, 1)
    return w * b + (1 - w) * a, np.abs(a) + np.abs(b)


def quantile(ordered, q):
    return ordered[int(np.floor(q * (ordered.size - 1)))]


def arcee_fusion(view):
    scale = np.abs(view.base64) + np.abs(view.d[0])
    if view.size == 0:
        return view.base64, scale
    columns = view.shape[-1] if view.shape else 1

    def softmax(x):
        rows = x.reshape(-1, columns)
        e = np.exp(rows - np.max(rows, axis=1, keepdims=True))
        return e / np.sum(e, axis=1, keepdims=True) + 1e-8

    p, q = softmax(view.x[0]), softmax(view.base64)
    divergence = np.sum(p * np.log(p / q), axis=1, keepdims=True)
    importance = np.abs(view.d[0]).reshape(-1, columns) * divergence
    ordered = np.sort(importance, axis=None)
    threshold = quantile(ordered, 0.5) + 1.5 * (quantile(ordered, 0.75) - quantile(ordered, 0.25))
    keep = (importance >= threshold).reshape(view.shape)
    # With few distinct differences the threshold can equal an importance but for the last bits of the
    # divergence, which no formula fixes: either choice is right there.
    either = (np.abs(importance - threshold) <= 1e-12 * threshold).reshape(view.shape)
    scale = scale + np.where(either, 1e6 * np.abs(view.d[0]), 0.0)
    return view.base64 + np.where(keep, view.d[0], 0.0), scale


def sce(view):
    n, topk = len(view.d), view.rule("select_topk", 1.0)
    d = np.stack(view.d).reshape(n, -1)
    if topk < 1 and view.size:
        mean = in_order(list(d)) / n
        variance = in_order([(x - mean) ** 2 for x in d]) / n
        keep = np.zeros(d.shape[1], bool)
        count = int(np.floor(topk * np.count_nonzero(variance > 0)))
        keep[np.argsort(-variance, kind="stable")[:count]] = True
        d = np.where(keep, d, 0.0)
    energy = np.array([np.mean(x * x) if x.size else 0.0 for x in d])
    a = energy / np.sum(energy) if np.sum(energy) >= 1e-6 else np.full(n, 1.0 / n)
    sign = np.where(in_order(list(d)) >= 0, 1.0, -1.0)
    agree = np.sign(d) == sign
    total = in_order([np.where(m, ai * x, 0.0) for m, ai, x in zip(agree, a, d)])
    divisor = in_order([np.where(m, ai, 0.0) for m, ai in zip(agree, a)])
    out = (total / np.maximum(divisor, 1e-6)).reshape(view.shape)
    return view.base64 + out, np.abs(view.base64) + np.max(np.abs(view.d), axis=0)


def ram(view, plus=False):
    epsilon = view.rule("epsilon", 1e-5)
    touched = np.stack([np.abs(d) > epsilon for d in view.d])
    owners = np.sum(touched, axis=0)
    lone, several = np.zeros(view.shape), np.zeros(view.shape)
    for d, mine in zip(view.d, touched):
        factor = 1.0
        if plus:
            shared = np.count_nonzero(mine & (owners > 1))
            unique = np.count_nonzero(mine & (owners == 1))
            ratio = np.clip(shared / max(unique, epsilon), 0, view.rule("alpha", 0.2))
            factor = 1 + view.rule("r", 0.1) * ratio
        lone = lone + np.where(mine & (owners == 1), factor * d, 0.0)
        several = several + np.where(mine, d, 0.0)
    change = np.where(owners > 1, several / np.maximum(owners, 1), lone)
    return view.base64 + change, np.abs(view.base64) + total_scale(view.d)


def passthrough(view):
    scale = view.member("scale", 0)
    out = view.x[0] if scale is None else scale * view.x[0]
    return out, np.abs(out)


def wise_ft(view):
    alpha = view.rule("alpha", 0.5)
    return (1 - alpha) * view.base64 + alpha * view.x[0], np.abs(view.base64) + np.abs(view.x[0])


def variance_corrected(view):
    n = len(view.x)
    mean = in_order(view.x) / n
    scale = total_scale(view.x) / n
    if len(view.shape) < 2 or view.size < 2:
        return mean, scale
    target = sum(np.var(x, ddof=1) for x in view.x) / n
    if target < 1e-20:
        return mean, scale
    e = 1e-12 * (1 + target)
    s = np.sqrt((target + e) / (np.var(mean, ddof=1) + e))
    s = 1 + view.rule("ratio", 1.0) * (s - 1)
    centre = np.mean(mean)
    out = centre + s * (mean - centre)
    return out, max(1.0, s) * (scale + np.abs(centre))


# Rules over the whole model -----------------------------------------------------------------------------


def fisher(views):
    n = len(views[0].members)
    norms = [np.sqrt(sum(np.sum(view.fisher[m] ** 2) for view in views)) for m in range(n)]
    floor = views[0].rule("floor", 1e-6)
    favour = views[0].rule("favor_target", True)
    results = []
    for view in views:
        weight = [view.member("weight", m, 1.0) for m in range(n)]
        top, bottom, plain, shares = 0.0, 0.0, 0.0, 0.0
        for m in range(n):
            c = weight[m] / (norms[m] if view.rule("normalize", True) else 1.0)
            f = view.fisher[m]
            if m == 0 or not favour:
                f = np.maximum(f, floor)
            top, bottom = top + c * f * view.x[m], bottom + c * f
            plain, shares = plain + weight[m] * view.x[m], shares + weight[m]
        none = bottom == 0
        out = np.where(none, plain / shares, top / np.where(none, 1.0, bottom))
        results.append((out, np.max(np.abs(view.x), axis=0)))
    return results


PER_TENSOR = {
    "linear": linear,
    "slerp": slerp,
    "nuslerp": nuslerp,
    "multislerp": multislerp,
    "karcher": karcher,
    "model_stock": model_stock,
    "nearswap": nearswap,
    "arcee_fusion": arcee_fusion,
    "sce": sce,
    "ram": ram,
    "ramplus_tl": lambda view: ram(view, plus=True),
    "passthrough": passthrough,
    "wise_ft": wise_ft,
    "variance_corrected": variance_corrected,
}
COORDINATE = {"median", "trimmed_mean", "meamed", "phocas"}
VECTOR = {"geometric_median", "krum", "multi_krum", "bulyan", "flag"}
assert CONSENSUS < set(SPARSIFY)
METHODS = sorted(set(PER_TENSOR) | set(SPARSIFY) | COORDINATE | VECTOR | {"fisher"})
BASE_IGNORED = {"linear", "karcher", "passthrough", "variance_corrected"}


def merge(method, base, members, parameters, seed=0, fishers=None):
    """name -> (float64 result, scale, dtype). `parameters`: name -> object with rule() and member()."""
    if method in BASE_IGNORED:
        base = None
    views = []
    for name in sorted(members[0]):
        importance = [f[name].values for f in fishers] if fishers else None
        views.append(
            View(name, [m[name] for m in members], base[name] if base else None, parameters, importance)
        )
    if method in PER_TENSOR:
        results = [PER_TENSOR[method](view) for view in views]
    elif method in SPARSIFY:
        results = merge_task_vectors(method, views, seed)
    elif method in COORDINATE:
        results = coordinate_rule(method, views)
    elif method in VECTOR:
        results = vector_rule(method, views, views[0].rule("scope", "model"))
    else:
        results = fisher(views)
    return {view.name: (*result, view.dtype) for view, result in zip(views, results)}
