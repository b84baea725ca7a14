"""Compares `amalgam merge` with the NumPy reference on random checkpoints and parameters.

    /usr/bin/python3 compare.py BINARY [--seed N] [--cases N] [--method NAME] [--keep DIR]

Rules that only do a fixed sequence of operations per element must agree bit for bit; the others within
1e-6 (|b| + sum |w_i d_i|) per element and one unit in the last place of the output type.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import zlib

import numpy as np

import merge_reference
from merge_settings import LAYERS, Filtered, Gradient, PerMember, Setting
from reference_files import Stored, read_checkpoint, round_to, spacing, to_bytes, write_checkpoint

DTYPES = ["F64", "F32", "F16", "BF16"]


def shapes(rng):
    """Names and shapes that cross the borders of rows, blocks (8192) and leaves (131072)."""
    odd = lambda: int(rng.integers(1, 40))
    found = {
        "scalar": [],
        "one": [1],
        "empty": [0],
        "empty_matrix": [3, 0],
        "norm.bias": [odd()],
        "embed.weight": [odd(), odd()],
        "conv": [int(rng.integers(1, 6)), int(rng.integers(1, 6)), odd()],
        "column": [odd(), 1],
    }
    for layer in range(LAYERS):
        found[f"layers.{layer}.attention.weight"] = [odd(), odd()]
        found[f"layers.{layer}.mlp.weight"] = [odd(), odd()]
    found["layers.1.long"] = [int(rng.integers(8191, 20000))]
    if rng.random() < 0.4:
        found["layers.2.wide"] = [int(rng.integers(5, 9)), int(rng.integers(9000, 12000))]
    if rng.random() < 0.25:
        found["head.weight"] = [521, int(rng.integers(560, 580))]
    return found


def checkpoints(rng, count, method):
    """A base and `count` members that differ from it a little, with exact zeros and ties."""
    opposed = float(rng.choice([0, 1e-2, 1e-5, 1e-7])) if method == "multislerp" and count == 2 else 0
    layout = shapes(rng)
    dtype = DTYPES[int(rng.integers(4))]
    mixed = rng.random() < 0.25
    step = float(rng.choice([0.01, 0.1, 1.0]))
    base, members = {}, [{} for _ in range(count)]
    for name, shape in layout.items():
        mine = lambda: DTYPES[int(rng.integers(4))] if mixed else dtype
        centre = rng.normal(size=shape) * float(rng.choice([0.05, 1.0]))
        kind = mine()
        centre = round_to(centre, kind)
        base[name] = Stored(kind, centre)
        common = rng.normal(size=shape)
        for m, member in enumerate(members):
            change = rng.standard_t(3, size=shape)
            if method == "model_stock":  # positive cosines in every row
                change = common * rng.uniform(0.5, 1.5, size=shape)
            elif rng.random() < 0.5:
                change = np.where(rng.random(size=shape) < 0.3, 0.0, change)
            kind = mine()
            value = np.asarray(centre + step * change)
            if opposed and m == 1:  # directions that nearly cancel
                value = -members[0][name].values * (1 + opposed * change)
            member[name] = Stored(kind, round_to(value, kind))
    return base, members


def between(rng, low, high):
    return round(float(rng.uniform(low, high)), 4)


def weights(rng, count, low=0.1, high=1.5):
    kind = rng.random()
    if kind < 0.4:
        return PerMember([between(rng, low, high) for _ in range(count)])
    if kind < 0.6:
        return Gradient([between(rng, low, high) for _ in range(int(rng.integers(2, 5)))])
    if kind < 0.8:
        return Filtered("mlp", between(rng, low, high), between(rng, low, high))
    return Setting(between(rng, low, high))


def maybe(rng, parameters, name, value, chance=0.5):
    if rng.random() < chance:
        parameters[name] = value if isinstance(value, Setting) else Setting(value)


def task_vector_parameters(rng, method, count):
    p = {"weight": weights(rng, count, -0.5 if method == "task_arithmetic" else 0.1)}
    maybe(rng, p, "lambda", between(rng, 0.2, 1.5))
    if method == "task_arithmetic":
        return p
    paper = rng.random() < 0.25
    if paper:
        p["dialect"] = Setting("paper")
    consensus = method in merge_reference.CONSENSUS
    counts = method in ("ties", "dare_ties", "breadcrumbs", "breadcrumbs_ties")
    if consensus or counts:
        maybe(rng, p, "scope", str(rng.choice(["tensor", "model"])), 0.3)
    whole = paper or "scope" in p
    if "della" in method:
        epsilon = between(rng, 0.01, 0.2)
        p["epsilon"] = Setting(epsilon)
        p["density"] = Setting(between(rng, epsilon + 0.05, 0.75))
    elif whole or rng.random() < 0.4:
        maybe(rng, p, "density", between(rng, 0.05, 1.0), 0.8)
    else:
        p["density"] = weights(rng, count, 0.05, 1.0)
    if "breadcrumbs" in method:
        maybe(rng, p, "gamma", between(rng, 0.0, 0.3), 0.7)
    if counts:
        maybe(rng, p, "kept", str(rng.choice(["floor", "round_half_even"])), 0.3)
    if consensus:
        maybe(rng, p, "zero_sign", str(rng.choice(["plus", "majority"])), 0.3)
        maybe(rng, p, "elect", str(rng.choice(["sum", "count"])), 0.3)
        if rng.random() < 0.3:
            p["disjoint"] = Setting(str(rng.choice(["mean", "sum", "max"])))
        elif not paper:
            maybe(rng, p, "normalize", bool(rng.integers(2)), 0.3)
    else:
        maybe(rng, p, "normalize", bool(rng.integers(2)), 0.3)
    if method == "dare_ties":
        maybe(rng, p, "trim_density", between(rng, 0.1, 0.9), 0.3)
    choices = [True, False, "l2", "linf", "inverse_density"]
    maybe(rng, p, "rescale", choices[int(rng.integers(5))], 0.6)
    return p


def random_case(rng, method):
    """(number of members, whether a base is given, parameters)."""
    if method in merge_reference.SPARSIFY:
        count = int(rng.integers(1, 5))
        return count, True, task_vector_parameters(rng, method, count)
    count, base, p = int(rng.integers(2, 6)), True, {}
    if method == "linear":
        count, base = int(rng.integers(1, 5)), False
        p["weight"] = weights(rng, count)
        maybe(rng, p, "normalize", bool(rng.integers(2)))
    elif method in ("slerp", "nearswap"):
        count = 1
        p["t"] = Gradient([0.0, 0.5, 1.0]) if rng.random() < 0.3 else Setting(between(rng, 0, 1))
        if method == "nearswap":
            p["t"] = Setting(between(rng, 0.0001, 0.1))
    elif method == "nuslerp":
        count, base = 2, bool(rng.integers(2))
        p["weight"] = weights(rng, count)
        maybe(rng, p, "nuslerp_flatten", False, 0.6)
        maybe(rng, p, "nuslerp_row_wise", bool(rng.integers(2)))
    elif method == "multislerp":
        base = bool(rng.integers(2))
        p["weight"] = weights(rng, count)
        if count == 2 or rng.random() < 0.3:
            count, base, p["weight"] = 2, False, Setting(1.0)
        maybe(rng, p, "normalize_weights", bool(rng.integers(2)))
    elif method == "karcher":
        base = False
        maybe(rng, p, "max_iter", int(rng.integers(1, 20)))
        maybe(rng, p, "tol", 1e-9)
    elif method == "model_stock":
        maybe(rng, p, "filter_wise", bool(rng.integers(2)))
    elif method == "arcee_fusion":
        count = 1
    elif method == "sce":
        count = int(rng.integers(1, 6))
        maybe(rng, p, "select_topk", between(rng, 0.05, 1.0), 0.8)
    elif method in ("ram", "ramplus_tl"):
        count = int(rng.integers(1, 5))
        maybe(rng, p, "epsilon", between(rng, 0.001, 0.05))
        if method == "ramplus_tl":
            maybe(rng, p, "r", between(rng, 0.05, 0.5))
            maybe(rng, p, "alpha", between(rng, 0.1, 2.0))
    elif method == "passthrough":
        count, base = 1, False
        maybe(rng, p, "scale", between(rng, -2, 2))
    elif method == "wise_ft":
        count = 1
        maybe(rng, p, "alpha", between(rng, 0, 1), 0.8)
    elif method == "variance_corrected":
        base = False
        maybe(rng, p, "ratio", between(rng, 0, 1))
    elif method == "fisher":
        count, base = int(rng.integers(1, 5)), False
        maybe(rng, p, "weight", PerMember([between(rng, 0.1, 1) for _ in range(count)]))
        maybe(rng, p, "normalize", bool(rng.integers(2)))
        maybe(rng, p, "favor_target", bool(rng.integers(2)))
        maybe(rng, p, "floor", 1e-4, 0.3)
    else:
        count, base = robust_parameters(rng, method, p)
    return count, base, p


def robust_parameters(rng, method, p):
    base = method == "flag" or bool(rng.integers(2))
    f = int(rng.integers(0, 3))
    least = {"trimmed_mean": 2 * f + 1, "phocas": 2 * f + 1, "meamed": 2 * f + 1, "krum": 2 * f + 3}
    least |= {"multi_krum": 2 * f + 3, "bulyan": 4 * f + 3}
    if method == "bulyan":
        f = int(rng.integers(0, 2))
        least["bulyan"] = 4 * f + 3
    count = max(2, least.get(method, 2)) + int(rng.integers(0, 3))
    if method in least:
        p["f"] = Setting(f)
    if method in merge_reference.VECTOR:
        maybe(rng, p, "scope", str(rng.choice(["tensor", "layer", "model"])))
    if method == "multi_krum":
        maybe(rng, p, "m", int(rng.integers(1, count - f - 1)), 0.3)
    if method == "flag":
        maybe(rng, p, "m", int(rng.integers(1, count + 1)))
        maybe(rng, p, "lambda", between(rng, 0.1, 4))
        maybe(rng, p, "iterations", int(rng.integers(1, 9)))
    return count, base


def is_exact(method, p):
    """Whether the formulas fix every operation, so that the result is one sequence of bits."""
    if method in ("dare_linear", "dare_ties", "della", "della_linear") and "rescale" not in p:
        return "dialect" in p  # by default an L1 norm is needed
    if "rescale" in p:
        return p["rescale"].value in (False, "inverse_density")
    if method == "fisher":  # its normalisation is a sum over the model
        return "normalize" in p and not p["normalize"].value
    exact = {"linear", "nearswap", "ram", "ramplus_tl", "passthrough", "wise_ft"}
    return method in exact | merge_reference.COORDINATE | set(merge_reference.SPARSIFY)


def differences(expected, actual, exact):
    """Sentences about the tensors that differ."""
    found = []
    if set(expected) != set(actual):
        return [f"tensors differ: {sorted(set(expected) ^ set(actual))}"]
    for name, (want, scale, dtype) in expected.items():
        have = actual[name]
        if have.dtype != dtype or have.values.shape != want.shape:
            found.append(f"{name}: {have.dtype} {have.values.shape}, expected {dtype} {want.shape}")
            continue
        rounded = round_to(want, dtype)
        if exact:
            size = {"F64": 8, "F32": 4}.get(dtype, 2)
            one, two = (
                np.frombuffer(to_bytes(x + 0.0, dtype), f"<u{size}").reshape(want.shape)
                for x in (rounded, have.values)  # + 0.0: no formula fixes the sign of a zero
            )
            wrong = one != two
        else:
            allowed = 1e-6 * scale + spacing(rounded, dtype)
            wrong = ~(np.abs(have.values - want) <= allowed)
        if np.any(wrong):
            at = np.unravel_index(np.argmax(wrong), wrong.shape)
            found.append(
                f"{name} {dtype}{list(want.shape)}: {np.count_nonzero(wrong)} of {wrong.size} differ, first at "
                f"{tuple(map(int, at))}: {have.values[at]!r}, expected {rounded[at]!r}"
            )
    return found


def run_case(binary, method, case, seed, folder):
    rng = np.random.default_rng([seed, case, zlib.crc32(method.encode())])
    count, with_base, p = random_case(rng, method)
    base, members = checkpoints(rng, count, method)
    mask_seed = int(rng.integers(0, 2**64, dtype=np.uint64)) if rng.random() < 0.5 else int(rng.integers(100))
    command = [binary, "merge", "--method", method, "--seed", str(mask_seed), "--threads", str(rng.integers(1, 4))]
    if rng.random() < 0.3:
        command += ["--memory", "64MB"]
    fishers = None
    if method == "fisher":
        fishers = random_fishers(rng, members, folder)
        command += ["-p", "fisher=" + ",".join(f"{folder}/f{m}.safetensors" for m in range(count))]
    for name, setting in p.items():
        for argument in setting.arguments(name):
            command += ["-p", argument]
    if with_base:
        write_checkpoint(f"{folder}/base.safetensors", base)
        command += ["--base", f"{folder}/base.safetensors"]
    for m, member in enumerate(members):
        write_checkpoint(f"{folder}/m{m}.safetensors", member)
        command.append(f"{folder}/m{m}.safetensors")
    if method == "fisher" and rng.random() < 0.5:  # a named base is the target, and comes first
        target = int(rng.integers(count))
        command += ["--base", f"{folder}/m{target}.safetensors"]
        order = [target] + [m for m in range(count) if m != target]
        members, fishers = [members[m] for m in order], [fishers[m] for m in order]
        if "weight" in p:
            p["weight"] = PerMember([p["weight"].value[m] for m in order])
    out = f"{folder}/out.safetensors"
    done = subprocess.run(command + ["-o", out], capture_output=True, text=True, check=False)
    try:
        expected = merge_reference.merge(method, base if with_base else None, members, p, mask_seed, fishers)
    except merge_reference.Refused as refusal:
        return ([] if done.returncode == 2 else [f"exit code {done.returncode}, but {refusal}"]), command
    if done.returncode != 0:
        return [f"exit code {done.returncode}: {done.stderr.strip()}"], command
    actual = read_checkpoint(out)
    return differences(expected, actual, is_exact(method, p)), command


def random_fishers(rng, members, folder):
    fishers = []
    for m, member in enumerate(members):
        fisher = {}
        for name, tensor in member.items():
            values = rng.chisquare(1, size=tensor.values.shape) * 10.0 ** rng.integers(-7, -2)
            values = np.where(rng.random(size=values.shape) < 0.2, 0.0, values)
            dtype = str(rng.choice(["F32", "F64"]))
            fisher[name] = Stored(dtype, round_to(values, dtype))
        write_checkpoint(f"{folder}/f{m}.safetensors", fisher)
        fishers.append(fisher)
    return fishers


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binary")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--cases", type=int, default=6, help="per method")
    parser.add_argument("--case", type=int, help="only this one")
    parser.add_argument("--method", action="append", help="only this one; may be given again")
    parser.add_argument("--keep", help="keep the files of the last case in this folder")
    options = parser.parse_args()
    failed = 0
    for method in options.method or merge_reference.METHODS:
        bad = []
        for case in [options.case] if options.case is not None else range(options.cases):
            with tempfile.TemporaryDirectory() as temporary:
                folder = options.keep or temporary
                os.makedirs(folder, exist_ok=True)
                if os.path.exists(f"{folder}/out.safetensors"):
                    os.remove(f"{folder}/out.safetensors")
                found, command = run_case(options.binary, method, case, options.seed, folder)
            if found:
                bad.append(case)
                print(f"{method} case {case}: {' '.join(command)}")
                for sentence in found[:4]:
                    print("   ", sentence)
        failed += len(bad)
        print(f"{method}: {'all cases agree' if not bad else f'cases {bad} differ'}", flush=True)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
