"""One recipe carried out by amalgam and by mergekit, and the results compared value by value."""

import pathlib
import shutil
import subprocess
import sys

import torch
import yaml
from mergekit.config import MergeConfiguration
from mergekit.merge import run_merge
from mergekit.merge_methods import merge_state_dicts
from mergekit.options import MergeOptions
from safetensors.torch import load_file


# mergekit sums in the type of the inputs; over millions of elements float32 is too coarse for an angle.
IN_DOUBLE = {"dtype": "float64", "out_dtype": "float32"}


def recipe(method, models, base=None, **keys):
    """`models`: pairs of a path and its parameters; `keys`: anything else at the top of the recipe."""
    whole = {"merge_method": method, "dtype": "float32"}
    if base:
        whole["base_model"] = str(base)
    whole["models"] = [{"model": str(path), "parameters": parameters} for path, parameters in models]
    return {**whole, **keys}


class Comparison:
    """Counts what it checks and ends the program at the first difference."""

    def __init__(self, amalgam, work):
        self.amalgam, self.work = amalgam, work
        self.checks, self.methods = 0, set()

    def check(self, condition, what):
        self.checks += 1
        if not condition:
            sys.exit(f"interop: {what}")

    def ours(self, document, seed=0):
        path, out = self.work / "recipe.yml", self.work / "ours"
        path.write_text(yaml.safe_dump(document))
        shutil.rmtree(out, ignore_errors=True)
        command = [self.amalgam, "merge", path, "-o", out, "--quiet", "--seed", str(seed)]
        subprocess.run(command, check=True)
        return load_file(out / "model.safetensors")

    def theirs(self, document, seed=0, copy_tokenizer=False):
        out = self.work / "theirs"
        shutil.rmtree(out, ignore_errors=True)
        options = MergeOptions(quiet=True, copy_tokenizer=copy_tokenizer, random_seed=seed, write_model_card=False)
        run_merge(MergeConfiguration.model_validate(document), str(out), options)
        return load_file(out / "model.safetensors")

    def theirs_in_memory(self, document):
        """The same without mergekit's lists of architectures: one value per parameter and model."""
        members = {one["model"]: one["parameters"] for one in document["models"]}
        base = document.get("base_model")
        names = list(members) + ([base] if base and base not in members else [])
        parameters = dict(document.get("parameters", {}))
        for name in {name for one in members.values() for name in one}:
            parameters[name] = {path: one[name] for path, one in members.items()}
        states = {path: load_file(pathlib.Path(path) / "model.safetensors") for path in names}
        return merge_state_dicts(states, document["merge_method"], parameters=parameters, base=base,
                                 dtype=getattr(torch, document["dtype"]), out_dtype=torch.float32)

    def compare(self, what, document, limit=3e-7, flips=0.0, theirs=None):
        """Every value within `limit` of its tensor's largest magnitude (float32 rounds to 6e-8 of a value).

        `flips` is the share of elements that may go another way, where a method decides by a float32 sum which is next to
        its threshold. `theirs` makes mergekit's result, by default as its command does.
        """
        self.methods.add(document["merge_method"])
        expected, got = (theirs or self.theirs)(document), self.ours(document)
        beside = {name for name in got if name not in expected}  # mergekit leaves out buffers that its lists do not have
        self.check(set(expected) <= set(got) and not any(got[name].is_floating_point() for name in beside),
                   f"{what}: names of tensors differ")
        worst, count, different = 0.0, 0, 0
        for name, value in expected.items():
            mine = got[name]
            self.check(mine.shape == value.shape and mine.dtype == value.dtype, f"{what}: shape or type of {name} differs")
            if not value.is_floating_point():
                self.check(bool((mine == value).all()), f"{what}: {name} differs")
                continue
            difference = (mine - value).abs() / value.abs().max().clamp(min=1e-30)
            within = difference <= limit
            count, different = count + value.numel(), different + int((~within).sum())
            self.check(flips > 0 or bool(within.all()),
                       f"{what}: {name} differs by {float(difference.max()):.2g} of its largest value")
            worst = max(worst, float(difference[within].max()))
        self.check(different <= flips * count, f"{what}: {different} of {count} elements differ")
        other = f", {different} of {count} elements aside" if different else ""
        print(f"mergekit: {what}: {len(expected)} tensors within {worst:.1e}{other}", flush=True)
