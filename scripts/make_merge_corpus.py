#!/usr/bin/env python3
"""Writes the seed corpora of the journal, manifest and adapter fuzz targets, and those recipes whose YAML is hostile.

Usage: scripts/make_merge_corpus.py [fuzz/corpus]
Small valid files, and files with one thing wrong each, so that the fuzzer starts beside every check.
"""

import hashlib
import json
import pathlib
import struct
import sys


def framed(identity, records=b""):
    """What the journal target gives a frame and checksums."""
    return b"\0" + struct.pack("<H", len(identity)) + identity + records


def record(stage, tensor, leaf, checksum):
    return struct.pack("<IIQQ", stage, tensor, leaf, checksum)


def journals():
    def identity(**more):
        return json.dumps({"version": "1", "recipe": "r", "options": {"seed": 1},
                           "inputs": [{"path": "a", "bytes": 1}, {"path": "b", "bytes": 2}], **more}).encode()

    yield "same", framed(identity(), record(0, 0, 0, 5) + record(0, 1, 2**63, 6))
    yield "torn", framed(identity(), record(0, 0, 0, 5)[:-3])
    yield "twice", framed(identity(), record(1, 2, 3, 4) * 2 + record(2**32 - 1, 2**32 - 1, 2**64 - 1, 0))
    yield "other_recipe", framed(identity(recipe="other"))
    yield "other_options", framed(identity(options=[1]))
    yield "input_gone", framed(identity(inputs=[{"path": "a", "bytes": 1}, {"path": "c"}]))
    yield "input_changed", framed(identity(inputs=[{"path": "a", "bytes": 3}]))
    yield "inputs_of_numbers", framed(identity(inputs=[1, [], {}, None]))
    yield "inputs_object", framed(identity(inputs={"path": "a"}))
    yield "list", framed(b"[1]")
    yield "number", framed(b"3")
    yield "cut", framed(b'{"version":')
    yield "nothing", framed(b"")
    yield "deep", framed(b'{"a":' * 400)
    yield "raw", b"\1AMALGAMJ" + struct.pack("<II", 1, 2) + b"{}" + bytes(8)
    yield "raw_long", b"\1AMALGAMJ" + struct.pack("<II", 1, 2**32 - 1) + b"{}"
    yield "raw_other_version", b"\1AMALGAMJ" + struct.pack("<II", 2, 2) + b"{}" + bytes(8)


def manifests():
    first, second = hashlib.sha256(b"\0x").digest(), hashlib.sha256(b"\0y").digest()
    both = hashlib.sha256(b"\1" + first + second).digest()
    small = {"path": "a.safetensors", "bytes": 9, "root": first.hex(), "blocks": [first.hex()]}
    large = {"path": "b.safetensors", "bytes": 2**20 + 1, "root": both.hex(),
             "blocks": [first.hex(), second.hex()]}
    empty = {"path": "c", "bytes": 0, "root": hashlib.sha256(b"").hexdigest()}

    def manifest(outputs=(small,), **more):
        return json.dumps({"format": "amalgam manifest 1", "version": "1", "recipe": "merge_method: linear\n",
                           "seed": 0, "propagates_nan": False, "allows_shape_mismatch": False, "dtype": "",
                           "block_bytes": 2**20, "inputs": [{"path": "/m", "bytes": 1, "root": first.hex()}],
                           "outputs": list(outputs), **more}).encode()

    yield "small", manifest()
    yield "several", manifest([small, large, empty])
    yield "other_root", manifest([small | {"root": second.hex()}])
    yield "blocks_missing", manifest([large | {"blocks": [first.hex()]}])
    yield "bytes_wrap", manifest([small | {"bytes": 2**64 - 1}])
    yield "bytes_negative", manifest([small | {"bytes": -1}])
    yield "bytes_half", manifest([small | {"bytes": 0.5}])
    yield "root_short", manifest([small | {"root": "00"}])
    yield "root_no_hex", manifest([small | {"root": "g" * 64}])
    for name, path in {"parent": "../a", "inner_parent": "x/../../y", "absolute": "/etc/passwd", "nul": "a\0b",
                       "dot": ".", "dots": "..a", "no_name": ""}.items():
        yield name, manifest([small | {"path": path}])
    yield "blocks_object", manifest([small | {"blocks": {"a": first.hex()}}])
    yield "outputs_number", manifest(outputs=(), **{"inputs": 3})
    yield "other_format", manifest(format="amalgam manifest 9")
    yield "seed_text", manifest(seed="1")
    yield "list", b"[]"
    yield "deep", b'{"format":' + b"[" * 400


def adapters():
    def lora(**more):
        return json.dumps({"peft_type": "LORA", "r": 8, "lora_alpha": 16, "target_modules": ["q_proj"], **more}).encode()

    yield "lora", lora(use_rslora=True, rank_pattern={"layers.\\d+.q_proj": 4},
                       alpha_pattern={"^model.*k_proj$": 2.5}, modules_to_save=["score"])
    yield "dora", lora(use_dora=True, init_lora_weights="gaussian", task_type="CAUSAL_LM")
    yield "ia3", json.dumps({"peft_type": "IA3", "feedforward_modules": ["down_proj"], "fan_in_fan_out": True}).encode()
    yield "rank_0", lora(r=0)
    yield "rank_negative", lora(r=-8)
    yield "rank_wraps", lora(r=2**64 - 1)
    yield "rank_half", lora(r=0.5)
    yield "rank_text", lora(r="8")
    yield "alpha_text", lora(lora_alpha="16")
    yield "alpha_null", lora(lora_alpha=None)
    yield "alpha_huge", lora().replace(b"16", b"1e400")
    yield "alpha_negative", lora(lora_alpha=-1)
    yield "pattern_of_pattern", lora(rank_pattern={"q_proj": {"q_proj": 1}})
    yield "pattern_0", lora(rank_pattern={"q_proj": 0})
    yield "pattern_list", lora(rank_pattern=["q_proj"])
    yield "pattern_broken", lora(rank_pattern={"(": 4, "[": 3, "*": 2})
    yield "pattern_slow", lora(rank_pattern={"(a+)+$": 4, "(.*)*x": 3})
    yield "flag_text", lora(use_rslora="true", use_dora=1)
    yield "modules_number", lora(target_modules=3, modules_to_save={"a": 1})
    yield "modules_pattern", lora(target_modules=".*_proj")
    yield "other_kind", lora(peft_type="PREFIX_TUNING")
    yield "no_kind", b"{}"
    yield "list", b"[]"
    yield "deep", b'{"rank_pattern":' + b'{"a":' * 400


def recipes():
    yield "hostile_aliases.yml", b"a: &a [x, x]\nb: &b [*a, *a]\nc: &c [*b, *b]\nd: &d [*c, *c]\nmodels: *d\n"
    yield "hostile_knot.yml", b"&a [*a]\n"
    yield "hostile_merge.yml", b"models: &m\n  <<: *m\n"
    yield "hostile_deep.yml", b"a: " + b"[" * 400
    yield "hostile_tag.yml", b"merge_method: !!binary AAAA\nmodels: !!set {a, b}\n"
    yield "hostile_numbers.yml", b"merge_method: linear\nmodels: [{model: a, parameters: {weight: 1e999}}]\n"
    yield "hostile_types.yml", b"merge_method: [ties]\nmodels: {model: a}\nbase_model: [1]\nparameters: 3\n"
    yield "hostile_key.yml", b"? {a: b}\n: c\nmerge_method: ties\n"
    yield "hostile_slices.yml", b"merge_method: passthrough\nslices: [{sources: [{model: a, layer_range: [5, -1]}]}]\n"
    yield "hostile_range.yml", (b"merge_method: passthrough\n"
                                b"slices: [{sources: [{model: a, layer_range: [0, 18446744073709551615]}]}]\n")


def main():
    root = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else "fuzz/corpus")
    for folder, files in (("journal", journals()), ("manifest", manifests()), ("adapter_config", adapters()),
                          ("recipe", recipes())):
        (root / folder).mkdir(parents=True, exist_ok=True)
        for name, contents in files:
            (root / folder / name).write_bytes(contents)


if __name__ == "__main__":
    main()
