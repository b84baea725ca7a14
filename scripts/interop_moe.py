# Mixtures of experts in the real `transformers`: they load without a missing or unexpected tensor; one of
# a single expert computes the logits of the dense model; routers of prompts are the mean embeddings of
# the tokens that the real `tokenizers` cuts the prompts into, for every kind of BPE tokenizer that
# language models have. Usage: interop_moe.py AMALGAM WORK
import json
import os
import shutil
import subprocess
import sys

import numpy as np
import torch
from safetensors.torch import load_file
from tokenizers import (Regex, Tokenizer, decoders, models, normalizers,
                        pre_tokenizers, trainers)
from transformers import (AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM,
                          MistralConfig, MistralForCausalLM, Qwen2Config,
                          Qwen2ForCausalLM, Qwen3Config, Qwen3ForCausalLM)
from transformers.utils import logging

logging.disable_progress_bar()
AMALGAM, WORK = sys.argv[1:3]
VOCABULARY, HIDDEN, LAYERS = 420, 32, 3
TEXTS = [
    "The cat sat on the mat, and didn't we'll they've SEE it? 12345 67,890.12",
    "def f(x):\n\treturn x ** 2  # comment\n\n\nclass A:   pass",
    "Ein schöner Tag für Überraschungen; naïve café, 日本語のテキスト, и русский текст 😀!",
    "   leading spaces and trailing   ", "a<s>b</s> c <|x|>  d", "e\u0301 combining, ﬁ ligature ½ ²",
    "Zero\u00a0width\u200bspace \r\n\r\n end", "ALL'S Well'LL iT'S",
]

LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
          r"|\s*[\r\n]+|\s+(?!\S)|\s+")
QWEN2 = LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}")


def byte_level(pattern=None, nfc=False, digits=False):
    made = Tokenizer(models.BPE())
    if nfc:
        made.normalizer = normalizers.NFC()
    steps = [pre_tokenizers.Digits(individual_digits=True)] if digits else []
    if pattern:
        steps += [pre_tokenizers.Split(Regex(pattern), "isolated"),
                  pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    else:
        steps += [pre_tokenizers.ByteLevel(add_prefix_space=False)]
    made.pre_tokenizer = pre_tokenizers.Sequence(steps) if len(steps) > 1 else steps[0]
    made.decoder = decoders.ByteLevel()
    return made, trainers.BpeTrainer(vocab_size=VOCABULARY - 4, show_progress=False,
                                     initial_alphabet=pre_tokenizers.ByteLevel.alphabet())


def sentence_piece(metaspace):
    made = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    if metaspace:
        made.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first")
    else:
        made.normalizer = normalizers.Sequence(
            [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    special = ["<unk>", "<s>", "</s>"] + [f"<0x{i:02X}>" for i in range(256)]
    return made, trainers.BpeTrainer(vocab_size=VOCABULARY - 4, show_progress=False,
                                     special_tokens=special, limit_alphabet=60)


def tokenizer(kind):
    made, trainer = {
        "gpt2": lambda: byte_level(), "llama3": lambda: byte_level(LLAMA3),
        "qwen2": lambda: byte_level(QWEN2, nfc=True), "smollm": lambda: byte_level(digits=True),
        "llama": lambda: sentence_piece(False), "mistral": lambda: sentence_piece(True)}[kind]()
    made.train_from_iterator(TEXTS * 3, trainer)
    if kind in ("llama", "mistral"):  # the bytes are tokens of the model, not special ones
        document = json.loads(made.to_str())
        document["added_tokens"] = [t for t in document["added_tokens"] if t["id"] < 3]
        made = Tokenizer.from_str(json.dumps(document))
    made.add_special_tokens(["<s>", "</s>"])
    made.add_tokens(["<|x|>"])
    return made


def dense(kind, name, seed, **options):
    torch.manual_seed(seed)
    config, model = {"llama": (LlamaConfig, LlamaForCausalLM),
                     "mistral": (MistralConfig, MistralForCausalLM),
                     "qwen2": (Qwen2Config, Qwen2ForCausalLM),
                     "qwen3": (Qwen3Config, Qwen3ForCausalLM)}[kind]
    made = model(config(vocab_size=VOCABULARY, hidden_size=HIDDEN, intermediate_size=48,
                        num_hidden_layers=LAYERS, num_attention_heads=4, num_key_value_heads=2,
                        head_dim=8, max_position_embeddings=128, pad_token_id=None, bos_token_id=1,
                        eos_token_id=2, **options))
    for parameter in made.parameters():  # norms and biases too
        parameter.data += 0.1 * torch.randn_like(parameter)
    made.eval().save_pretrained(f"{WORK}/{name}")
    return made


def assemble(recipe, name):
    path = f"{WORK}/{name}.yml"
    json.dump(recipe, open(path, "w"), ensure_ascii=False)  # JSON is YAML, but for surrogates
    run = subprocess.run([AMALGAM, "moe", path, "-o", f"{WORK}/{name}", "--quiet"],
                         capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    made, info = AutoModelForCausalLM.from_pretrained(f"{WORK}/{name}", output_loading_info=True,
                                                      dtype=torch.float32)
    for key in ("missing_keys", "unexpected_keys", "mismatched_keys"):
        assert not info[key], (name, key, info[key])
    return made.eval()


def logits(model):
    torch.manual_seed(9)
    return model(torch.randint(0, VOCABULARY, (2, 17))).logits.detach()


def check_one_expert():
    shared = dict(gate_mode="random")
    cases = [("llama", "mixtral", {}), ("llama", "tied", dict(tie_word_embeddings=True)),
             ("mistral", "window", dict(sliding_window=5)),
             ("llama", "rope", dict(rope_theta=5e5, rms_norm_eps=1e-5)), ("qwen3", "qwen3_moe", {})]
    for kind, name, options in cases:
        model = dense(kind, f"dense-{name}", 1, **options)
        made = assemble(dict(base_model=f"{WORK}/dense-{name}", **shared,
                             experts=[dict(source_model=f"{WORK}/dense-{name}")]), f"moe-{name}")
        difference = (logits(made) - logits(model)).abs().max().item()
        assert difference < 1e-4, (name, difference)
        print(f"moe: one expert of {kind} ({name}) computes as {type(made).__name__} what the dense "
              f"model does, within {difference:.1e}")
    # With a shared expert of zero weight the one expert is all there is.
    for kind in ("qwen2", "llama"):
        model = dense(kind, f"dense-{kind}", 2)
        expert = dict(source_model=f"{WORK}/dense-{kind}")
        made = assemble(dict(base_model=f"{WORK}/dense-{kind}", architecture="qwen2_moe", **shared,
                             experts=[expert], shared_experts=[dict(expert, residual_scale=0)]),
                        f"moe-{kind}-shared")
        difference = (logits(made) - logits(model)).abs().max().item()
        assert difference < 1e-4, (kind, difference)
        print(f"moe: one expert of {kind} computes as {type(made).__name__} what the dense model "
              f"does, within {difference:.1e}")


def mean_direction(embedding, encode, prompts):
    ids = [i for prompt in prompts for i in encode("<s>" + prompt)]
    mean = embedding[ids].astype(np.float64).mean(0)
    return mean / np.linalg.norm(mean), len(ids)


def check_prompts():
    base = dense("llama", "base", 3)
    dense("llama", "other", 4)
    embedding = base.model.embed_tokens.weight.detach().numpy()
    for kind in ("gpt2", "llama3", "qwen2", "smollm", "llama", "mistral"):
        real = tokenizer(kind)
        real.save(f"{WORK}/base/tokenizer.json")
        json.dump(dict(bos_token="<s>"), open(f"{WORK}/base/tokenizer_config.json", "w"))
        encode = lambda text: real.encode(text, add_special_tokens=False).ids
        count = 0
        for i, text in enumerate(TEXTS):
            positive, negative = [text, TEXTS[i - 1]], [TEXTS[i - 2]]
            experts = [dict(source_model=f"{WORK}/base", positive_prompts=positive,
                            negative_prompts=negative),
                       dict(source_model=f"{WORK}/other", positive_prompts=[text])]
            name = f"prompts-{kind}-{i}"
            assemble(dict(base_model=f"{WORK}/base", gate_mode="cheap_embed", experts=experts), name)
            gate = load_file(f"{WORK}/{name}/model.safetensors")[
                f"model.layers.{LAYERS - 1}.block_sparse_moe.gate.weight"].numpy()
            one, tokens = mean_direction(embedding, encode, positive)
            one -= mean_direction(embedding, encode, negative)[0]
            two, more = mean_direction(embedding, encode, [text])
            np.testing.assert_allclose(gate[0], one / np.linalg.norm(one), atol=1e-6)
            np.testing.assert_allclose(gate[1], two, atol=1e-6)
            count += tokens + more
        print(f"moe: routers of prompts equal NumPy's with the real tokenizer ({kind}, {count} tokens)")
    return base


def check_hidden(base):
    real = tokenizer("llama")
    real.save(f"{WORK}/base/tokenizer.json")
    positive, negative = TEXTS[:3], TEXTS[3:5]
    assemble(dict(base_model=f"{WORK}/base", experts=[
        dict(source_model=f"{WORK}/base", positive_prompts=positive, negative_prompts=negative),
        dict(source_model=f"{WORK}/other", positive_prompts=negative)]), "hidden")
    made = load_file(f"{WORK}/hidden/model.safetensors")

    def states(prompts):
        total = 0
        for prompt in prompts:
            ids = torch.tensor([real.encode("<s>" + prompt, add_special_tokens=False).ids])
            with torch.no_grad():
                run = base(ids, output_hidden_states=True)
            total = total + torch.stack(run.hidden_states[:-1])[:, 0, -1].double() / len(prompts)
        return total
    for row, expected in enumerate([states(positive) - states(negative), states(negative)]):
        expected = expected / expected.norm(dim=-1, keepdim=True)
        for layer in range(LAYERS):
            gate = made[f"model.layers.{layer}.block_sparse_moe.gate.weight"][row]
            np.testing.assert_allclose(gate.numpy(), expected[layer].numpy(), atol=2e-5)
    print(f"moe: routers of hidden states equal those of transformers in {LAYERS} layers")


def check_experts():
    made = load_file(f"{WORK}/prompts-llama-0/model.safetensors")
    other = load_file(f"{WORK}/other/model.safetensors")
    for layer in range(LAYERS):
        for ours, theirs in (("w1", "gate_proj"), ("w2", "down_proj"), ("w3", "up_proj")):
            a = made[f"model.layers.{layer}.block_sparse_moe.experts.1.{ours}.weight"]
            b = other[f"model.layers.{layer}.mlp.{theirs}.weight"]
            assert a.dtype == b.dtype and torch.equal(a, b)
    print(f"moe: {3 * LAYERS} tensors of an expert are those of its model, bit for bit")


shutil.rmtree(WORK, ignore_errors=True)
os.makedirs(WORK)
check_one_expert()
base_model = check_prompts()
check_experts()
check_hidden(base_model)
