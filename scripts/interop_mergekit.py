"""Compares merges with mergekit: the same recipe, the same members, float32, value by value; random methods by what
they keep.

    python interop_mergekit.py AMALGAM_BINARY WORK_FOLDER
"""

import importlib.metadata
import math
import pathlib
import shutil
import sys

import torch
from mergekit.merge_methods import registered_methods
from safetensors.torch import load_file, save_file

from interop_llama import write_family
from interop_recipes import IN_DOUBLE, Comparison, recipe

SIZE = {"hidden": 64, "layers": 4, "vocabulary": 300, "intermediate": 96, "heads": 4, "groups": 2}
WORK = pathlib.Path(sys.argv[2])
comparison = Comparison(sys.argv[1], WORK)
check, compare, ours, theirs = comparison.check, comparison.compare, comparison.ours, comparison.theirs


def deterministic(base, a, b, c):
    def three(**parameters):
        return [(a, {"weight": 0.7, **parameters}), (b, {"weight": 0.4, **parameters}), (c, {"weight": -0.2, **parameters})]

    plain = [(a, {}), (b, {}), (c, {})]
    compare("linear", recipe("linear", three()))
    compare("linear, sum", recipe("linear", three(), parameters={"normalize": False}))
    compare("passthrough", recipe("passthrough", [(a, {})]))
    compare("passthrough, scaled", recipe("passthrough", [(a, {"scale": 0.7})]))
    for t in (0, 0.3, 1):
        compare(f"slerp, t {t}", recipe("slerp", [(b, {})], base, parameters={"t": t}))
    # Angles of float32 sums over a tensor: theirs are float32, ours double.
    compare("nuslerp", recipe("nuslerp", [(a, {"weight": 0.6}), (b, {"weight": 0.3})]), 1e-6)
    compare("nuslerp, base", recipe("nuslerp", [(a, {"weight": 0.6}), (b, {"weight": 0.3})], base), 1e-6)
    for row_wise in (False, True):
        compare(f"nuslerp, flatten off, row_wise {row_wise}",
                recipe("nuslerp", [(a, {"weight": 0.6}), (b, {"weight": 0.3})], base,
                       parameters={"nuslerp_flatten": False, "nuslerp_row_wise": row_wise}), 1e-6)
    positive = [(a, {"weight": 0.7}), (b, {"weight": 0.4}), (c, {"weight": 0.2})]
    compare("multislerp", recipe("multislerp", positive), 1e-6)
    compare("multislerp, base", recipe("multislerp", positive, base, parameters={"normalize_weights": False}), 1e-6)
    compare("karcher", recipe("karcher", plain), 2e-6)
    compare("karcher, three iterations", recipe("karcher", plain, parameters={"max_iter": 3, "tol": 1e-9}), 2e-6)
    for filter_wise in (False, True):
        compare(f"model_stock, filter_wise {filter_wise}",
                recipe("model_stock", plain, base, parameters={"filter_wise": filter_wise}), 1e-6)
    compare("nearswap", recipe("nearswap", [(a, {})], base, parameters={"t": 0.01}))
    # In float32 the divergences round so much that elements next to the threshold go either way.
    compare("arcee_fusion, float64", recipe("arcee_fusion", [(a, {})], base, **IN_DOUBLE))
    compare("arcee_fusion", recipe("arcee_fusion", [(a, {})], base), flips=1e-3)
    for k in (1, 0.5, 0.1):
        compare(f"sce, select_topk {k}", recipe("sce", plain, base, parameters={"select_topk": k}), 1e-6)
    for method in ("ram", "ramplus_tl"):
        compare(method, recipe(method, plain, base, parameters={"epsilon": 0.005}))
    for normalize in (False, True):
        for method in ("task_arithmetic", "ties", "breadcrumbs", "breadcrumbs_ties", "dare_ties", "dare_linear", "della",
                       "della_linear"):
            # Density 1 keeps everything, which makes the random methods deterministic.
            density = {"density": 0.4} if method in ("ties", "breadcrumbs", "breadcrumbs_ties") else {}
            compare(f"{method}, normalize {normalize}",
                    recipe(method, three(**density), base, parameters={"normalize": normalize, "lambda": 0.8}))
    for method in ("ties", "breadcrumbs", "breadcrumbs_ties"):
        compare(f"{method}, rescaled", recipe(method, three(density=0.3), base, parameters={"rescale": True}), 1e-6)
    compare("breadcrumbs, gamma 0.1", recipe("breadcrumbs", three(density=0.95, gamma=0.1), base))
    compare("ties, density 0.003", recipe("ties", three(density=0.003), base))


def parameters_of_recipes(base, a, b, c):
    gradient = [0, 0.5, 0.3, 0.7, 1]
    compare("gradients and filters", recipe(
        "slerp", [(b, {})], base,
        parameters={"t": [{"filter": "self_attn", "value": gradient}, {"filter": "mlp", "value": gradient[::-1]}, {"value": 0.5}]}))
    compare("precedence", recipe(
        "linear", [(a, {"weight": [{"filter": "down_proj", "value": [0, 1]}]}), (b, {"weight": 0.25})],
        parameters={"weight": [{"filter": "*", "value": [1, 0.5]}]}))
    layers = SIZE["layers"]
    sliced = {"merge_method": "passthrough", "dtype": "float32", "slices": [
        {"sources": [{"model": str(a), "layer_range": [0, 3]}]},
        {"sources": [{"model": str(b), "layer_range": [1, layers], "parameters": {
            "scale": [{"filter": "o_proj", "value": 0.5}, {"value": 1.0}]}}]}]}
    compare("slices of two models", sliced)
    blended = {"merge_method": "ties", "dtype": "float32", "base_model": str(base), "parameters": {"weight": 1.0}, "slices": [
        {"sources": [{"model": str(m), "layer_range": [first, last]} for m in (base, a, c)],
         "parameters": {"density": [0.2, 0.9]}} for first, last in ((0, 2), (1, layers))]}
    compare("slices that are blended", blended)


class Kept:
    """Where two members' changes were kept, of elements that change by 1 and 10: the sum tells which."""

    def __init__(self, merged):
        values = torch.cat([value.flatten() for value in merged.values()]).round()
        self.first, self.second = (values % 10 == 1), values >= 10
        self.count = values.numel()


def near(share, probability, count, what):
    sigma = math.sqrt(probability * (1 - probability) / count)
    check(abs(share - probability) <= 5 * sigma, f"{what}: {share:.5f} instead of {probability:.5f}, {count} draws")


def dare_masks(base, a, b, seeds):
    """Both keep each element by itself with its member's density, members independent of each other."""
    zero, one, ten = WORK / "zero", WORK / "one", WORK / "ten"
    for folder, value in ((zero, 0), (one, 1), (ten, 10)):
        shutil.copytree(base, folder, dirs_exist_ok=True)
        save_file({name: torch.full_like(tensor, value) for name, tensor in load_file(base / "model.safetensors").items()},
                  folder / "model.safetensors", metadata={"format": "pt"})
    document = recipe("dare_linear", [(one, {"weight": 1, "density": 0.7}), (ten, {"weight": 1, "density": 0.2})], zero,
                      parameters={"rescale": False})
    for tool, run in (("amalgam", ours), ("mergekit", theirs)):
        drawn = [Kept(run(document, seed)) for seed in range(seeds)]
        count = sum(kept.count for kept in drawn)
        shares = [sum(int(mask(kept).sum()) for kept in drawn) / count
                  for mask in (lambda k: k.first, lambda k: k.second, lambda k: k.first & k.second)]
        for share, probability, what in zip(shares, (0.7, 0.2, 0.14), ("first", "second", "both")):
            near(share, probability, count, f"dare_linear by {tool}: share kept of {what}")
        repeated = sum(int((x.first == y.first).sum()) for x, y in zip(drawn, drawn[1:])) / (count - drawn[0].count)
        near(repeated, 0.7**2 + 0.3**2, count - drawn[0].count, f"dare_linear by {tool}: same mask for two seeds")
        print(f"mergekit: dare masks by {tool}: kept {shares[0]:.4f}, {shares[1]:.4f}, both {shares[2]:.4f} of {count}")


def della_masks(base, a, seeds):
    """Kept with a probability that rises with the rank of the magnitude within the row, here in ten steps."""
    density, epsilon, steps = 0.5, 0.3, 10
    document = recipe("della_linear", [(a, {"weight": 1, "density": density, "epsilon": epsilon})], base,
                      parameters={"rescale": False})
    start, member = load_file(base / "model.safetensors"), load_file(a / "model.safetensors")
    for tool, run in (("amalgam", ours), ("mergekit", theirs)):
        kept, counts, expected = torch.zeros(steps), torch.zeros(steps), torch.zeros(steps)
        for seed in range(seeds):
            merged = run(document, seed)
            for name, value in merged.items():
                delta = (member[name] - start[name]).reshape(-1, value.shape[-1])
                if (delta == 0).any():
                    continue  # whether a change of nothing was kept does not show
                rank = delta.abs().argsort(dim=1).argsort(dim=1).double()
                width = delta.shape[1]
                step = (rank * steps / width).long().flatten()
                probability = density - epsilon + 2 * epsilon * rank / (width - 1)
                changed = ((value - start[name]).reshape(delta.shape).abs() > 0.5 * delta.abs()).flatten()
                kept += torch.bincount(step, changed.double(), steps)
                counts += torch.bincount(step, minlength=steps)
                expected += torch.bincount(step, probability.flatten(), steps)
        for step in range(steps):
            near(float(kept[step] / counts[step]), float(expected[step] / counts[step]), float(counts[step]),
                 f"della_linear by {tool}: share kept of tenth {step + 1} by magnitude")
        shares = ", ".join(f"{share:.3f}" for share in kept / counts)
        print(f"mergekit: della masks by {tool}: kept by tenths of magnitude {shares} of {int(counts[0])} each")


def moments(run, document, seeds, start):
    """Mean over the seeds of every element's change, and its variance."""
    total, squares = {}, {}
    for seed in range(seeds):
        for name, value in run(document, seed).items():
            change = (value - start[name]).double()
            total[name] = total.get(name, 0) + change
            squares[name] = squares.get(name, 0) + change**2
    mean = {name: value / seeds for name, value in total.items()}
    variance = {name: (squares[name] - seeds * mean[name] ** 2) / (seeds - 1) for name in total}
    return mean, variance


def same_distribution(method, base, a, b, seeds, **parameters):
    """Mean and variance of the merged changes over seeds: ours against theirs."""
    comparison.methods.add(method)
    document = recipe(method, [(a, {"weight": 0.8, "density": 0.5, **parameters}), (b, {"weight": 0.5, "density": 0.6, **parameters})],
                      base)
    start = load_file(base / "model.safetensors")
    (mean, variance), (their_mean, their_variance) = (moments(run, document, seeds, start) for run in (ours, theirs))
    ratio, scores = [], []
    for name, value in mean.items():
        error = ((variance[name] + their_variance[name]) / seeds).sqrt()
        live = error > 0
        z = ((value - their_mean[name])[live] / error[live]).flatten()
        scores.append(z)
        if value.numel() > 1000:
            ratio.append((variance[name].sum() / their_variance[name].sum()).item())
    z = torch.cat(scores)
    # Of differences of two means of `seeds` draws each, Welch's statistic has about the variance n/(n-2), n = 2 seeds - 2.
    spread, freedom = float(z.square().mean()), 2 * seeds - 2
    spread /= freedom / (freedom - 2)
    check(abs(float(z.mean())) <= 5 / math.sqrt(len(z)), f"{method}: means differ by {float(z.mean()):.4f} sigma on average")
    check(abs(spread - 1) <= 0.05, f"{method}: differences of means scatter {spread:.3f} times as much as they should")
    check(all(abs(one - 1) <= 0.1 for one in ratio), f"{method}: variances differ: {ratio}")
    print(f"mergekit: {method}: means of {seeds} seeds differ by {float(z.mean()):+.4f} sigma on average, spread {spread:.3f}; "
          f"variances {min(ratio):.3f} to {max(ratio):.3f} times")


def main():
    shutil.rmtree(WORK, ignore_errors=True)
    base, a, b, c = write_family(WORK, 3, torch.float32, **SIZE)
    deterministic(base, a, b, c)
    parameters_of_recipes(base, a, b, c)
    dare_masks(base, a, b, 8)
    della_masks(base, a, 8)
    for method in ("dare_linear", "dare_ties"):
        same_distribution(method, base, a, b, 24)
    for method in ("della_linear", "della"):
        same_distribution(method, base, a, b, 24, epsilon=0.2)
    missing = {method.spec.name for method in registered_methods()} - comparison.methods
    check(not missing, f"methods of mergekit that were not compared: {', '.join(sorted(missing))}")
    print(f"interop: {comparison.checks} checks against mergekit {importlib.metadata.version('mergekit')} passed")


if __name__ == "__main__":
    main()
