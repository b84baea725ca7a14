"""Models of differing vocabularies merged by amalgam and by mergekit: every token has the same row in both results.

    python interop_vocabularies.py AMALGAM_BINARY WORK_FOLDER
"""

import importlib.metadata
import json
import pathlib
import shutil
import sys

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from interop_llama import write_family
from interop_recipes import Comparison, recipe

WORK = pathlib.Path(sys.argv[2])
comparison = Comparison(sys.argv[1], WORK)
check = comparison.check
SIZE = {"hidden": 32, "layers": 2, "intermediate": 48, "heads": 4, "groups": 2}
VOCABULARY_TENSORS = ("model.embed_tokens.weight", "lm_head.weight")
TEXTS = {
    "one": ["the cat sat on the mat and the cat was fat"] * 5,
    "two": ["a quick brown fox jumps over the lazy dog", "numbers 123 123 456"] * 5,
}


def write_tokenizer(folder, name, special):
    """A byte-level BPE as Llama 3 and GPT-2 have it; returns its size."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    tokenizer.train_from_iterator(TEXTS[name], trainers.BpeTrainer(vocab_size=285, initial_alphabet=alphabet))
    tokenizer.add_special_tokens(special)
    folder.mkdir(parents=True, exist_ok=True)
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token=special[0]).save_pretrained(folder)
    return tokenizer.get_vocab_size()


def write_models():
    """Two models with vocabularies of their own, each the base of a family."""
    paths = []
    for seed, (name, special) in enumerate((("one", ["<s>", "<pad>"]), ("two", ["<s>", "<|im_start|>", "<|im_end|>"]))):
        rows = write_tokenizer(WORK / name / "tokenizer", name, special)
        base = write_family(WORK / name, 1, torch.float32, vocabulary=rows, **SIZE)[seed]
        for path in (WORK / name / "tokenizer").iterdir():
            shutil.copy(path, base)
        paths.append(base)
    return paths


def vocabulary(folder):
    return AutoTokenizer.from_pretrained(folder).get_vocab()


def compare(what, document):
    """Same tokens; each with the same row of embedding and head; all other tensors as always; the same words encoded."""
    expected, got = comparison.theirs(document, copy_tokenizer=True), comparison.ours(document)
    their_ids, our_ids = vocabulary(WORK / "theirs"), vocabulary(WORK / "ours")
    check(set(their_ids) == set(our_ids), f"{what}: tokens differ: {set(their_ids) ^ set(our_ids)}")
    if document.get("tokenizer_source") != str(WORK / "two" / "member0"):
        first = vocabulary(pathlib.Path(document["base_model"]))
        check(all(our_ids[token] == number for token, number in first.items()), f"{what}: tokens of the base have new numbers")
    moved = sum(their_ids[token] != number for token, number in our_ids.items())
    for name, value in expected.items():
        mine = got[name]
        if name in VOCABULARY_TENSORS:
            check(mine.shape == value.shape, f"{what}: {name} is {list(mine.shape)}, theirs {list(value.shape)}")
            tokens = list(our_ids)
            mine = mine[[our_ids[token] for token in tokens]]
            value = value[[their_ids[token] for token in tokens]]
        difference = (mine - value).abs().max()
        check(difference <= 3e-7 * value.abs().max(), f"{what}: {name} differs by {float(difference):.2g}")
    config, theirs = (json.loads((WORK / tool / "config.json").read_text()) for tool in ("ours", "theirs"))
    check(config["vocab_size"] == theirs["vocab_size"], f"{what}: vocab_size in config.json")
    print(f"mergekit: {what}: {len(our_ids)} tokens have the same rows, {moved} have other numbers", flush=True)


def main():
    shutil.rmtree(WORK, ignore_errors=True)
    one, two = write_models()
    pair = [(one, {"weight": 0.3}), (two, {"weight": 0.7})]
    for source in ("union", "base", str(two)):
        compare(f"linear, vocabulary {pathlib.Path(source).parent.name or source}",
                recipe("linear", pair, one, tokenizer_source=source))
    compare("task_arithmetic, union", recipe("task_arithmetic", [(two, {"weight": 0.7})], one, tokenizer_source="union"))
    tokens = {
        "<|im_end|>": {"source": {"kind": "model_token", "model": str(one), "token": "<pad>"}},
        "<|im_start|>": {"source": str(two), "force": True},
        "<pad>": {"source": {"kind": "zero"}, "force": True},
    }
    compare("tokens with sources", recipe("linear", pair, one, tokenizer={"source": "union", "tokens": tokens}))
    compare("padded to a multiple of 64", recipe("linear", pair, one, tokenizer={"source": "union", "pad_to_multiple_of": 64}))
    print(f"interop: {comparison.checks} checks of vocabularies against mergekit {importlib.metadata.version('mergekit')} passed")


if __name__ == "__main__":
    main()
