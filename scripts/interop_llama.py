"""Made-up models of the Llama family in Hugging Face's layout, for comparisons with other tools.

A member differs from the base by noise, part of which it shares with the other members (so that their task vectors are
at other angles than right ones), and is left as it was in a third of the places of some tensors.
"""

import json
import pathlib

import torch
from safetensors.torch import save_file


def shapes(hidden, layers, vocabulary, intermediate, heads, groups):
    """Names and shapes of all tensors, in the order of the network."""
    head = hidden // heads
    yield "model.embed_tokens.weight", (vocabulary, hidden)
    for layer in range(layers):
        prefix = f"model.layers.{layer}."
        yield prefix + "self_attn.q_proj.weight", (hidden, hidden)
        yield prefix + "self_attn.k_proj.weight", (groups * head, hidden)
        yield prefix + "self_attn.v_proj.weight", (groups * head, hidden)
        yield prefix + "self_attn.o_proj.weight", (hidden, hidden)
        yield prefix + "mlp.gate_proj.weight", (intermediate, hidden)
        yield prefix + "mlp.up_proj.weight", (intermediate, hidden)
        yield prefix + "mlp.down_proj.weight", (hidden, intermediate)
        yield prefix + "input_layernorm.weight", (hidden,)
        yield prefix + "post_attention_layernorm.weight", (hidden,)
    yield "model.norm.weight", (hidden,)
    yield "lm_head.weight", (vocabulary, hidden)


def config(hidden, layers, vocabulary, intermediate, heads, groups, dtype):
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_size": hidden,
        "num_hidden_layers": layers,
        "vocab_size": vocabulary,
        "intermediate_size": intermediate,
        "num_attention_heads": heads,
        "num_key_value_heads": groups,
        "rms_norm_eps": 1e-5,
        "tie_word_embeddings": False,
        "torch_dtype": str(dtype).removeprefix("torch."),
    }


def draw(shape, generator):
    return torch.randn(shape, generator=generator, dtype=torch.float32)


def write_family(folder, members, dtype, change=0.3, **size):
    """Writes FOLDER/base and FOLDER/member0, ...; returns their paths. `change`: members' noise by the base's scale."""
    folder = pathlib.Path(folder)
    names = ["base"] + [f"member{i}" for i in range(members)]
    generators = {name: torch.Generator().manual_seed(seed) for seed, name in enumerate(names + ["shared", "kept"])}
    models = {name: {} for name in names}
    for number, (name, shape) in enumerate(shapes(**size)):
        scale = 0.5 / size["hidden"] ** 0.5
        base = scale * draw(shape, generators["base"]) + (1 if len(shape) == 1 else 0)
        shared = draw(shape, generators["shared"])
        models["base"][name] = base.to(dtype)
        for member in names[1:]:
            delta = change * scale * (0.6 * shared + 0.8 * draw(shape, generators[member]))
            if number % 3 == 1:
                delta *= torch.rand(shape, generator=generators["kept"]) > 1 / 3
            models[member][name] = (base + delta).to(dtype)
    for name, tensors in models.items():
        (folder / name).mkdir(parents=True, exist_ok=True)
        save_file(tensors, folder / name / "model.safetensors", metadata={"format": "pt"})
        (folder / name / "config.json").write_text(json.dumps(config(dtype=dtype, **size), indent=1))
    return [folder / name for name in names]
