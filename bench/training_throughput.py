#!/usr/bin/python3
"""Compares the training throughput of `amalgam train` with PyTorch's Python front end.

The same networks, data (Fashion-MNIST), batch size, optimiser and number of threads, with the same
libtorch below: Debian's python3-torch, which this needs (apt-get install --no-install-recommends
python3-torch python3-numpy). Runs of both alternate, each in a process of its own; only the training
loop is timed. Prints, per network, the median rates and the ratio ours / theirs of pairs with its spread,
per second and per second of processor time.

Usage: training_throughput.py build/release/bin/amalgam [--threads 1,2] [--runs 7] [--only mlp,cnn]
"""

import argparse
import gzip
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

DATA = os.environ.get("AMALGAM_DATA", "/usr/share/datasets/fashion-mnist")

SGD = "{name: sgd, learning_rate: 0.02, momentum: 0.9, weight_decay: 0.0005}"
ADAMW = "{name: adamw, learning_rate: 0.001, weight_decay: 0.01}"
# name: network of a recipe, batch, examples, epochs, optimiser
NETWORKS = {
    "mlp": ("{architecture: mlp, hidden: [256, 128]}", 128, 40000, 4, SGD),
    "mlp-adamw": ("{architecture: mlp, hidden: [256, 128]}", 128, 40000, 4, ADAMW),
    "mlp-small": ("{architecture: mlp, hidden: [32]}", 32, 40000, 2, SGD),
    "cnn": ("{architecture: cnn, channels: [16, 32], hidden: [64]}", 128, 10000, 2, SGD),
    "vit": (
        "{architecture: vit, patch: 7, width: 64, depth: 4, attention_heads: 4, mlp_ratio: 2}",
        128, 10000, 1, ADAMW),
}


def figures(examples, seconds, processor_seconds, loss):
    return {"rate": examples / seconds, "processor_rate": examples / processor_seconds,
            "loss": loss}


# --- The Python side --------------------------------------------------------------------------

def torch_network(name, mean, deviation):
    import torch
    from torch import nn
    from torch.nn import functional

    class Standardised(nn.Module):
        def __init__(self, inner):
            super().__init__()
            self.inner = inner

        def forward(self, x):
            return self.inner((x - mean) / deviation)

    class Block(nn.Module):
        def __init__(self, width, heads, ratio):
            super().__init__()
            self.norm1 = nn.LayerNorm(width, eps=1e-6)
            self.qkv = nn.Linear(width, 3 * width)
            self.proj = nn.Linear(width, width)
            self.norm2 = nn.LayerNorm(width, eps=1e-6)
            self.fc1 = nn.Linear(width, ratio * width)
            self.fc2 = nn.Linear(ratio * width, width)
            self.heads = heads
            self.scale = (width // heads) ** -0.5

        def forward(self, x):
            b, n, w = x.shape
            qkv = self.qkv(self.norm1(x)).view(b, n, 3, self.heads, w // self.heads)
            q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)
            mixed = torch.softmax((q * self.scale) @ k.transpose(-2, -1), -1) @ v
            x = x + self.proj(mixed.transpose(1, 2).reshape(b, n, w))
            return x + self.fc2(functional.gelu(self.fc1(self.norm2(x))))

    class Vit(nn.Module):
        def __init__(self, patch, width, depth, heads, ratio):
            super().__init__()
            self.embed = nn.Conv2d(1, width, patch, patch)
            self.token = nn.Parameter(torch.zeros(1, 1, width))
            self.positions = nn.Parameter(0.02 * torch.randn(1, 1 + (28 // patch) ** 2, width))
            self.blocks = nn.ModuleList(Block(width, heads, ratio) for _ in range(depth))
            self.norm = nn.LayerNorm(width, eps=1e-6)
            self.head = nn.Linear(width, 10)

        def forward(self, x):
            x = self.embed(x).flatten(2).transpose(1, 2)
            x = torch.cat([self.token.expand(x.shape[0], -1, -1), x], 1) + self.positions
            for block in self.blocks:
                x = block(x)
            return self.head(self.norm(x)[:, 0])

    def mlp(*widths):
        layers = [nn.Flatten()]
        for i, (inputs, outputs) in enumerate(zip(widths, widths[1:])):
            layers += [nn.ReLU()] if i > 0 else []
            layers.append(nn.Linear(inputs, outputs))
        return layers

    if name == "vit":
        return Standardised(Vit(7, 64, 4, 4, 2))
    if name == "cnn":
        blocks = []
        for inputs, outputs in ((1, 16), (16, 32)):
            blocks += [nn.Conv2d(inputs, outputs, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
        return Standardised(nn.Sequential(*blocks, *mlp(32 * 7 * 7, 64, 10)))
    hidden = (32,) if name == "mlp-small" else (256, 128)
    return Standardised(nn.Sequential(*mlp(784, *hidden, 10)))


def train_in_python(name, threads):
    """Trains as a plain PyTorch script does; prints examples per second and the last loss."""
    import math

    import numpy
    import torch
    from torch.nn import functional

    torch.set_num_threads(threads)
    torch.manual_seed(1)
    _, batch, examples, epochs, optimiser = NETWORKS[name]

    def read(file, header):
        with gzip.open(os.path.join(DATA, file)) as stream:
            return numpy.frombuffer(stream.read(), numpy.uint8, offset=header).copy()

    pixels = torch.from_numpy(read("train-images-idx3-ubyte.gz", 16)).view(-1, 1, 28, 28)
    inputs = pixels[:examples].float() / 255
    labels = torch.from_numpy(read("train-labels-idx1-ubyte.gz", 8))[:examples].long()
    network = torch_network(name, inputs.mean(), inputs.std())
    if optimiser is SGD:
        steps = torch.optim.SGD(network.parameters(), 0.02, momentum=0.9, weight_decay=0.0005)
    else:
        steps = torch.optim.AdamW(network.parameters(), 0.001, weight_decay=0.01)
    per_epoch = -(-examples // batch)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        steps, lambda t: (1 + math.cos(math.pi * t / (epochs * per_epoch))) / 2)

    start, start_cpu = time.perf_counter(), time.process_time()
    for _ in range(epochs):
        total = 0.0
        order = torch.randperm(examples)
        for first in range(0, examples, batch):
            places = order[first:first + batch]
            loss = functional.cross_entropy(network(inputs[places]), labels[places])
            steps.zero_grad(set_to_none=True)
            loss.backward()
            steps.step()
            schedule.step()
            total += loss.item() * len(places)
    print(json.dumps(figures(epochs * examples, time.perf_counter() - start,
                             time.process_time() - start_cpu, total / examples)))


# --- The comparison ---------------------------------------------------------------------------

def environment(threads):
    return dict(os.environ, OMP_NUM_THREADS=str(threads), OPENBLAS_NUM_THREADS=str(threads))


def python_rate(name, threads):
    out = subprocess.run(
        [sys.executable, __file__, "--train", name, "--threads", str(threads)],
        env=environment(threads), capture_output=True, text=True, check=True).stdout
    return json.loads(out)


def amalgam_rate(program, name, threads, folder):
    network, batch, examples, epochs, optimiser = NETWORKS[name]
    recipe = os.path.join(folder, "recipe.yml")
    with open(recipe, "w", encoding="utf-8") as file:
        file.write(f"network: {network}\ndata: {{examples: {examples}}}\nepochs: {epochs}\n"
                   f"batch: {batch}\noptimizer: {optimiser}\n")
    out = subprocess.run(
        [program, "train", recipe, "-o", os.path.join(folder, "net.safetensors"), "--overwrite",
         "--json", "--threads", str(threads)],
        env=environment(threads), capture_output=True, text=True, check=True).stdout
    report = json.loads(out)
    return figures(epochs * examples, report["seconds"], report["processor_seconds"],
                   report["epochs"][-1]["loss"])


def compare(program, name, threads, runs):
    ours, theirs = [], []
    with tempfile.TemporaryDirectory() as folder:
        for run in range(runs):
            both = [(ours, lambda: amalgam_rate(program, name, threads, folder)),
                    (theirs, lambda: python_rate(name, threads))]
            # Who goes first alternates, so that a drift of the machine meets both alike.
            for rates, measure in both if run % 2 == 0 else reversed(both):
                rates.append(measure())
    def ratios(key):
        return sorted(a[key] / b[key] for a, b in zip(ours, theirs))

    wall, processor = ratios("rate"), ratios("processor_rate")
    return {
        "network": name, "threads": threads, "runs": runs,
        "ours": statistics.median(a["rate"] for a in ours),
        "theirs": statistics.median(b["rate"] for b in theirs),
        "ratio": statistics.median(wall), "least": wall[0], "most": wall[-1],
        # Per second of processor time: what counts when others use the machine too.
        "processor_ratio": statistics.median(processor),
        "processor_least": processor[0], "processor_most": processor[-1],
        "our_loss": ours[-1]["loss"], "their_loss": theirs[-1]["loss"],
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("program", nargs="?", help="the amalgam program")
    parser.add_argument("--threads", default="1,2", help="numbers of threads (default 1,2)")
    parser.add_argument("--runs", type=int, default=7, help="runs of each (default 7)")
    parser.add_argument("--only", help="names of networks, between commas")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--train", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.train:
        train_in_python(options.train, int(options.threads))
        return
    if not options.program:
        parser.error("which amalgam program?")
    try:
        import torch  # pylint: disable=unused-import
    except ImportError:
        sys.exit("training_throughput.py: python3 has no torch; on Debian: apt-get install"
                 " --no-install-recommends python3-torch python3-numpy, and run by"
                 " /usr/bin/python3")
    results = []
    for name in options.only.split(",") if options.only else NETWORKS:
        for threads in (int(n) for n in options.threads.split(",")):
            one = compare(options.program, name, threads, options.runs)
            results.append(one)
            if not options.json:
                print("{network:10} {threads} threads: {ours:9,.0f} examples/s, Python {theirs:9,.0f};"
                      " ratio {ratio:.3f} ({least:.3f} to {most:.3f} in {runs} pairs),"
                      " per processor second {processor_ratio:.3f} ({processor_least:.3f} to"
                      " {processor_most:.3f}), loss {our_loss:.3f} / {their_loss:.3f}".format(**one),
                      flush=True)
    if options.json:
        print(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
