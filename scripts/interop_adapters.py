"""Compares applied adapters with the real PEFT: LoRA in its kinds, DoRA, IA3, and what we write.

    python interop_adapters.py AMALGAM_BINARY WORK_FOLDER
"""

import pathlib
import subprocess
import sys

import peft
import torch
from safetensors.torch import load_file, save_file

AMALGAM, WORK = sys.argv[1], pathlib.Path(sys.argv[2])
checks = 0


class Block(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.q_proj = torch.nn.Linear(24, 16)
        self.v_proj = torch.nn.Linear(24, 16, bias=False)
        self.down = torch.nn.Linear(16, 24)


class Network(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = torch.nn.Embedding(30, 24)
        self.layers = torch.nn.ModuleList([Block(), Block()])
        self.conv = torch.nn.Conv2d(3, 8, 3)
        self.point = torch.nn.Conv2d(8, 4, 1)
        self.score = torch.nn.Linear(24, 2)

    def forward(self, tokens):
        return self.score(self.embed(tokens))


def network():
    torch.manual_seed(7)
    return Network()


def amalgam(*words):
    subprocess.run([AMALGAM, *map(str, words), "--quiet"], check=True, stdout=subprocess.DEVNULL)


def check_equal(ours, theirs, what):
    global checks
    for name, tensor in theirs.items():
        if name not in ours:
            sys.exit(f"interop: {what}: no tensor {name}")
        scale = max(1.0, tensor.abs().max().item())
        difference = (ours[name].float() - tensor.float()).abs().max().item()
        if not difference <= 3e-6 * scale:
            sys.exit(f"interop: {what}: {name} differs by {difference}")
    checks += 1


def randomised(model, seed):
    torch.manual_seed(seed)
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            parameter.data += 0.1 * torch.randn_like(parameter)
    return model


CONFIGS = {
    "lora": peft.LoraConfig(r=4, lora_alpha=6, target_modules=["q_proj", "v_proj", "down"]),
    "rslora": peft.LoraConfig(r=4, lora_alpha=6, use_rslora=True, target_modules=["q_proj"]),
    "patterns": peft.LoraConfig(r=4, lora_alpha=6, target_modules=["q_proj", "v_proj"],
                                rank_pattern={"layers.1.q_proj": 7}, alpha_pattern={"v_proj": 3}),
    "embedding": peft.LoraConfig(r=3, lora_alpha=6, target_modules=["embed", "q_proj"]),
    "convolution": peft.LoraConfig(r=3, lora_alpha=6, target_modules=["conv", "point"]),
    "dora": peft.LoraConfig(r=4, lora_alpha=6, use_dora=True, target_modules=["q_proj", "conv"]),
    "bias": peft.LoraConfig(r=4, lora_alpha=6, lora_bias=True, target_modules=["q_proj"]),
    "saved": peft.LoraConfig(r=4, lora_alpha=6, target_modules=["q_proj"],
                             modules_to_save=["score", "embed"]),
    "biases": peft.LoraConfig(r=4, lora_alpha=6, target_modules=["q_proj"], bias="lora_only"),
    "ia3": peft.IA3Config(target_modules=["q_proj", "down", "conv"], feedforward_modules=["down"]),
}


def main():
    WORK.mkdir(parents=True, exist_ok=True)
    base = WORK / "base.safetensors"
    save_file(network().state_dict(), base)
    for seed, (name, config) in enumerate(CONFIGS.items()):
        folder = WORK / name
        model = randomised(peft.get_peft_model(network(), config), seed)
        model.save_pretrained(folder)
        out = WORK / f"{name}-applied.safetensors"
        amalgam("lora", "apply", base, folder, out, "--overwrite")
        merged = peft.PeftModel.from_pretrained(network(), folder).merge_and_unload()
        check_equal(load_file(out), merged.state_dict(), name)

    # What we write, PEFT loads: an extracted adapter, and merged ones.
    tuned = network()
    torch.manual_seed(99)
    for parameter in tuned.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
    save_file(tuned.state_dict(), WORK / "tuned.safetensors")
    amalgam("lora", "extract", base, WORK / "tuned.safetensors", WORK / "extracted", "--rank", 64,
            "--overwrite")
    loaded = peft.PeftModel.from_pretrained(network(), WORK / "extracted").merge_and_unload()
    check_equal(loaded.state_dict(), tuned.state_dict(), "extracted")

    for method in ("cat", "exact"):
        amalgam("lora", "merge", WORK / "lora", WORK / "patterns", "-o", WORK / "both", "--weight", 0.5,
                2, "--overwrite", "--method", method)
        ours = peft.PeftModel.from_pretrained(network(), WORK / "both").merge_and_unload().state_dict()
        start = network().state_dict()
        parts = [load_file(WORK / f"{name}-applied.safetensors") for name in ("lora", "patterns")]
        expected = {key: value + 0.5 * (parts[0][key] - value) + 2 * (parts[1][key] - value)
                    for key, value in start.items()}
        check_equal(ours, expected, "merged " + method)
    print(f"interop: {checks} checks of adapters with peft {peft.__version__} passed")


if __name__ == "__main__":
    main()
