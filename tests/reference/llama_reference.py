"""Llama-family folders made from scratch, and what they compute, in float64 with NumPy alone.

    llama_reference.py write FOLDER CASE SEED    a folder in Hugging Face layout with random weights
    llama_reference.py logits FOLDER OUT         tokens and logits of FOLDER, as a safetensors file
    llama_reference.py nll FOLDER TEXT CONTEXT   mean -log p of the next byte of TEXT, in nats

Written from the papers' formulas: rotations are complex numbers, attention is a loop over heads and
positions. Tokens are bytes.
"""

import json
import math
import os
import sys

import numpy as np

from reference_files import Stored, read_checkpoint, round_to, write_checkpoint

BASE = {
    "vocab_size": 256,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
    "rms_norm_eps": 1e-5,
    "rope_theta": 10000.0,
    "hidden_act": "silu",
    "model_type": "llama",
    "architectures": ["LlamaForCausalLM"],
    "tie_word_embeddings": False,
    "torch_dtype": "float32",
}
LLAMA3 = {
    "rope_type": "llama3",
    "factor": 4.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 16,
}
CASES = {
    "untied": {"rope_theta": 500.0, "rope_scaling": LLAMA3},
    "tied": {
        "tie_word_embeddings": True,
        "rope_scaling": {"type": "linear", "factor": 2.0},
        "attention_bias": True,
        "mlp_bias": True,
        "torch_dtype": "bfloat16",
    },
    "qwen2": {"model_type": "qwen2", "architectures": ["Qwen2ForCausalLM"], "num_key_value_heads": 1},
    "mistral": {
        "model_type": "mistral",
        "architectures": ["MistralForCausalLM"],
        "head_dim": 6,
        "sliding_window": None,
    },
}


def head_width(config):
    return config.get("head_dim") or config["hidden_size"] // config["num_attention_heads"]


def shapes(config):
    hidden, inner, width = config["hidden_size"], config["intermediate_size"], head_width(config)
    queries, keys = config["num_attention_heads"] * width, config["num_key_value_heads"] * width
    qkv_bias = config.get("attention_bias", False) or config["model_type"] == "qwen2"
    result = {"model.embed_tokens.weight": (config["vocab_size"], hidden), "model.norm.weight": (hidden,)}
    if not config["tie_word_embeddings"]:
        result["lm_head.weight"] = (config["vocab_size"], hidden)
    for layer in range(config["num_hidden_layers"]):
        name = f"model.layers.{layer}."
        for norm in ("input_layernorm", "post_attention_layernorm"):
            result[name + norm + ".weight"] = (hidden,)
        linear = {
            "self_attn.q_proj": (queries, hidden, qkv_bias),
            "self_attn.k_proj": (keys, hidden, qkv_bias),
            "self_attn.v_proj": (keys, hidden, qkv_bias),
            "self_attn.o_proj": (hidden, queries, config.get("attention_bias", False)),
            "mlp.gate_proj": (inner, hidden, config.get("mlp_bias", False)),
            "mlp.up_proj": (inner, hidden, config.get("mlp_bias", False)),
            "mlp.down_proj": (hidden, inner, config.get("mlp_bias", False)),
        }
        for part, (rows, columns, bias) in linear.items():
            result[name + part + ".weight"] = (rows, columns)
            if bias:
                result[name + part + ".bias"] = (rows,)
    return result


def write(folder, case, seed):
    config = BASE | CASES[case]
    dtype = "BF16" if config["torch_dtype"] == "bfloat16" else "F32"
    random = np.random.default_rng(seed)
    tensors = {}
    for name, shape in sorted(shapes(config).items()):
        is_norm = "norm" in name
        scale = 0.2 if len(shape) == 1 else 1.5 / math.sqrt(shape[1])
        values = random.normal(1.0 if is_norm else 0.0, scale, shape)
        tensors[name] = Stored(dtype, round_to(values, dtype))
    os.makedirs(folder)
    with open(os.path.join(folder, "config.json"), "w") as file:
        json.dump(config, file)
    shards = [{}, {}]
    for number, name in enumerate(sorted(tensors)):
        shards[number % 2][name] = tensors[name]
    weight_map = {}
    for number, shard in enumerate(shards):
        name = f"model-{number + 1:05d}-of-00002.safetensors"
        write_checkpoint(os.path.join(folder, name), shard)
        weight_map |= {tensor: name for tensor in shard}
    with open(os.path.join(folder, "model.safetensors.index.json"), "w") as file:
        json.dump({"metadata": {}, "weight_map": weight_map}, file)


def load(folder):
    with open(os.path.join(folder, "config.json")) as file:
        config = json.load(file)
    tensors = {}
    for name in sorted(os.listdir(folder)):
        if name.endswith(".safetensors"):
            tensors |= {key: stored.values for key, stored in read_checkpoint(os.path.join(folder, name)).items()}
    return config, tensors


def frequencies(config):
    width = head_width(config)
    plain = [config["rope_theta"] ** (-2 * i / width) for i in range(width // 2)]
    scaling = config.get("rope_scaling")
    if not scaling:
        return np.array(plain)
    if scaling.get("type") == "linear":
        return np.array(plain) / scaling["factor"]
    result = []
    for frequency in plain:
        wavelength = 2 * math.pi / frequency
        low = scaling["original_max_position_embeddings"] / scaling["low_freq_factor"]
        high = scaling["original_max_position_embeddings"] / scaling["high_freq_factor"]
        if wavelength > low:
            result.append(frequency / scaling["factor"])
        elif wavelength < high:
            result.append(frequency)
        else:
            smooth = (scaling["original_max_position_embeddings"] / wavelength - scaling["low_freq_factor"]) / (
                scaling["high_freq_factor"] - scaling["low_freq_factor"]
            )
            result.append((1 - smooth) * frequency / scaling["factor"] + smooth * frequency)
    return np.array(result)


def rotate(vector, position, angles):
    half = len(vector) // 2
    turned = (vector[:half] + 1j * vector[half:]) * np.exp(1j * position * angles)
    return np.concatenate([turned.real, turned.imag])


def logits(config, tensors, tokens):
    """[length, vocabulary] of one sequence."""

    def norm(x, name):
        return x / np.sqrt((x * x).mean(axis=1, keepdims=True) + config["rms_norm_eps"]) * tensors[name + ".weight"]

    def linear(x, name):
        return x @ tensors[name + ".weight"].T + tensors.get(name + ".bias", 0.0)

    width, heads = head_width(config), config["num_attention_heads"]
    shared = heads // config["num_key_value_heads"]
    angles = frequencies(config)
    x = tensors["model.embed_tokens.weight"][tokens]
    for layer in range(config["num_hidden_layers"]):
        name = f"model.layers.{layer}."
        inputs = norm(x, name + "input_layernorm")
        q, k, v = (linear(inputs, name + f"self_attn.{part}_proj") for part in "qkv")
        mixed = np.zeros_like(q)
        for head in range(heads):
            own, other = slice(head * width, (head + 1) * width), head // shared
            for t in range(len(tokens)):
                query = rotate(q[t, own], t, angles)
                keys = [rotate(k[s, other * width : (other + 1) * width], s, angles) for s in range(t + 1)]
                scores = np.array([query @ key for key in keys]) / math.sqrt(width)
                weights = np.exp(scores - scores.max())
                weights /= weights.sum()
                mixed[t, own] = weights @ v[: t + 1, other * width : (other + 1) * width]
        x = x + linear(mixed, name + "self_attn.o_proj")
        inputs = norm(x, name + "post_attention_layernorm")
        gate = linear(inputs, name + "mlp.gate_proj")
        x = x + linear(gate / (1 + np.exp(-gate)) * linear(inputs, name + "mlp.up_proj"), name + "mlp.down_proj")
    head = tensors["model.embed_tokens.weight" if config["tie_word_embeddings"] else "lm_head.weight"]
    return norm(x, "model.norm") @ head.T


def write_logits(folder, out):
    config, tensors = load(folder)
    tokens = np.random.default_rng(7).integers(0, config["vocab_size"], (2, 24))
    all_logits = np.stack([logits(config, tensors, sequence) for sequence in tokens])
    write_checkpoint(out, {"tokens": Stored("F64", tokens.astype(np.float64)), "logits": Stored("F64", all_logits)})


def nll(folder, text, context):
    config, tensors = load(folder)
    with open(text, "rb") as file:
        data = np.frombuffer(file.read(), np.uint8).astype(np.int64)
    losses = []
    for start in range(0, (len(data) - 1) // context * context, context):
        z = logits(config, tensors, data[start : start + context])
        log_sum = np.log(np.exp(z - z.max(axis=1, keepdims=True)).sum(axis=1)) + z.max(axis=1)
        losses.extend(log_sum - z[np.arange(context), data[start + 1 : start + context + 1]])
    return float(np.mean(losses))


if __name__ == "__main__":
    command, *arguments = sys.argv[1:]
    if command == "write":
        write(arguments[0], arguments[1], int(arguments[2]))
    elif command == "logits":
        write_logits(*arguments)
    elif command == "nll":
        print(nll(arguments[0], arguments[1], int(arguments[2])))
    else:
        sys.exit(__doc__)
