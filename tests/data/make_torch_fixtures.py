#!/usr/bin/env python3
"""Writes the PyTorch files in tests/data/torch/ with a real PyTorch.

Debian: apt-get install python3-torch; /usr/bin/python3 tests/data/make_torch_fixtures.py
The values are what tests/checkpoint/torch_archive_test.cpp expects; the files are a few kB each.
"""

import collections
import os
import pathlib

import torch

OUT = pathlib.Path(__file__).parent / "torch"


def values(shape, dtype=torch.float32, start=0):
    """start, start + 1, ... in row-major order."""
    count = 1
    for size in shape:
        count *= size
    return torch.arange(start, start + count).reshape(shape).to(dtype)


def save(name, what, **options):
    # Bit-identical when made again, but for legacy.pt and script.pt, which hold ids of objects.
    torch.save(what, OUT / name, **options)


class Network(torch.nn.Module):
    """Two layers and an output tied to the embedding."""

    def __init__(self):
        super().__init__()
        self.embed = torch.nn.Embedding(5, 4)
        self.hidden = torch.nn.Linear(4, 4)
        self.head = torch.nn.Linear(4, 5, bias=False)
        self.head.weight = self.embed.weight
        with torch.no_grad():
            self.embed.weight.copy_(values((5, 4)))
            self.hidden.weight.copy_(values((4, 4), start=100))
            self.hidden.bias.copy_(values((4,), start=200))


class Forbidden:
    """Unpickling this with pickle.load would run a command."""

    def __reduce__(self):
        return os.system, ("echo this must never run",)


def main():
    OUT.mkdir(exist_ok=True)
    network = Network()

    # A plain state dict: an OrderedDict with _metadata, tied tensors.
    save("tied.bin", network.state_dict())
    save("protocol4.pt", network.state_dict(), pickle_protocol=4)

    # What training scripts save.
    save("nested.pt", {
        "state_dict": network.state_dict(),
        "optimizer": {"state": {0: {"step": torch.tensor(7.0), "exp_avg": values((5, 4))}},
                      "param_groups": [{"lr": 1e-3, "betas": (0.9, 0.999), "params": [0, 1]}]},
        "epoch": 3,
        "best": None,
        "notes": "first try",
        "digest": b"\x00\xff",
        "empty_bytes": b"",
        "input": torch.Size([2, 3]),
        "large": 2**80,
        "done": True,
    })

    # Containers inside each other, parameters, no known root.
    save("containers.pt", {
        "encoder": collections.OrderedDict(weight=torch.nn.Parameter(values((2, 3)))),
        "layers": [values((2,)), (values((1,), start=5), values((1,), start=6))],
        7: values((2,), start=7),
        "epoch": 3,
    })
    save("lone.pt", values((2, 2)))

    types = {
        "f64": torch.float64, "f32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16,
        "i8": torch.int8, "i16": torch.int16, "i32": torch.int32, "i64": torch.int64,
        "u8": torch.uint8,
    }
    tensors = {name: values((2, 3), dtype) for name, dtype in types.items()}
    tensors["bool"] = torch.tensor([True, False, True])
    save("types.pt", tensors)

    base = values((4, 6))
    cube = values((2, 3, 4))
    save("views.pt", {
        "base": base,
        "transposed": base.t(),
        "rows": base[1:3],
        "block": base[1:3, 2:5],
        "every_second": base[:, ::2],
        "column": base[:, 1],
        "expanded": base[0, :3].expand(2, 3),
        "permuted": cube.permute(2, 0, 1),
        "diagonal": base.diagonal(),
        "scalar": base[2, 3],
        "empty": base[:0],
        "large_transposed": values((60, 20), torch.float16).t(),
    })

    save("legacy.pt", network.state_dict(), _use_new_zipfile_serialization=False)
    save("forbidden.pt", {"weight": values((2,)), "payload": Forbidden()})
    save("complex.pt", {"weight": torch.zeros(2, dtype=torch.complex64)})
    torch.jit.save(torch.jit.script(torch.nn.Linear(2, 2)), str(OUT / "script.pt"))


if __name__ == "__main__":
    main()
