"""Small inputs of every kind of file that a command reads."""

import json
import struct

import numpy

SHAPES = {"a.weight": (300, 512), "b.weight": (64, 64), "norm": (17,)}


def write_model(path, seed, shapes=SHAPES):
    random = numpy.random.default_rng(seed)
    header, blobs, end = {}, [], 0
    for name, shape in shapes.items():
        blob = random.standard_normal(shape) if len(shape) > 1 else numpy.ones(shape)
        blob = blob.astype(numpy.float32).tobytes()
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [end, end + len(blob)]}
        blobs.append(blob)
        end += len(blob)
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + b"".join(blobs))


def write_dense(folder, seed, tokens=("a", "b", "ab")):
    """A Llama of one layer, with a tokenizer."""
    words = len(tokens) + 1
    shapes = {"model.embed_tokens.weight": (words, 8), "lm_head.weight": (words, 8),
              "model.norm.weight": (8,)}
    for name in ("input_layernorm", "post_attention_layernorm"):
        shapes[f"model.layers.0.{name}.weight"] = (8,)
    for name in "qkvo":
        shapes[f"model.layers.0.self_attn.{name}_proj.weight"] = (8, 8)
    for name in ("gate", "up", "down"):
        shapes[f"model.layers.0.mlp.{name}_proj.weight"] = (8, 16) if name == "down" else (16, 8)
    folder.mkdir(parents=True)
    write_model(folder / "model.safetensors", seed, shapes)
    (folder / "config.json").write_text(json.dumps(dict(
        model_type="llama", hidden_size=8, intermediate_size=16, num_hidden_layers=1,
        num_attention_heads=1, vocab_size=words)))
    (folder / "tokenizer.json").write_text(json.dumps(dict(
        normalizer={"type": "NFC"}, pre_tokenizer={"type": "ByteLevel", "add_prefix_space": False},
        model=dict(type="BPE", vocab={token: i for i, token in enumerate(tokens)},
                   merges=["a b"]))))


def write_images(folder):
    """Images of 8 times 8 pixels in four classes, in the layout of MNIST."""
    folder.mkdir()
    for prefix, count in (("train", 120), ("t10k", 40)):
        random = numpy.random.default_rng(count)
        labels = random.integers(0, 4, count).astype(numpy.uint8)
        images = random.integers(20, 120, (count, 8, 8)).astype(numpy.uint8)
        for image, label in zip(images, labels):
            image[4 * (label // 2):4 * (label // 2) + 4, 4 * (label % 2):4 * (label % 2) + 4] += 100
        (folder / f"{prefix}-images-idx3-ubyte").write_bytes(
            struct.pack(">IIII", 0x803, count, 8, 8) + images.tobytes())
        (folder / f"{prefix}-labels-idx1-ubyte").write_bytes(
            struct.pack(">II", 0x801, count) + labels.tobytes())


def csv(header, rows):
    return "".join(",".join(map(str, row)) + "\n" for row in [header, *rows])


def write_label_files(folder):
    votes = [(f"t{t}", f"w{w}", (t * 7 + w * (t % 3)) % 2) for t in range(50) for w in range(4)]
    (folder / "votes.csv").write_text(csv(["task", "worker", "label"], votes))
    (folder / "more.csv").write_text(csv(["task", "worker", "label"],
                                         [(f"t{t}", "w9", t % 2) for t in range(20)]))
    (folder / "gold.csv").write_text(csv(["task", "label"], [(f"t{t}", t % 2) for t in range(9)]))
    (folder / "votes.jsonl").write_text(
        "".join(json.dumps({"task": t, "worker": w, "label": label}) + "\n"
                for t, w, label in votes))
    (folder / "label_studio.json").write_text(json.dumps([
        {"id": t, "data": {}, "annotations": [
            {"completed_by": w, "result": [{"from_name": "choice", "to_name": "text",
                                            "type": "choices",
                                            "value": {"choices": [str((t + w) % 2)]}}]}
            for w in range(3)]} for t in range(10)]))
    (folder / "pairs.csv").write_text(csv(
        ["worker", "left", "right", "label"],
        [(f"w{i % 3}", f"i{i % 5}", f"i{(i + 1) % 5}", f"i{(i + i % 2) % 5}") for i in range(30)]))
    (folder / "texts.csv").write_text(csv(
        ["task", "worker", "text"],
        [("b", 1, "the cat sat"), ("b", 2, "cat sat"), ("b", 3, "the cat sat"), ("a", 1, "hello")]))
    numpy.save(folder / "third.npy", numpy.array([[True, True, False, False]]))
    (folder / "masks.csv").write_text(
        'task,worker,mask\nt,1,"1x4:0,2,2"\nt,2,"1x4:1,3"\nt,3,third.npy\n')
    matrix = numpy.random.default_rng(1).integers(-1, 2, (40, 5)).astype(numpy.int8)
    numpy.save(folder / "votes.npy", matrix)
    (folder / "matrix.csv").write_text(csv(
        ["task", *(f"f{f}" for f in range(5))],
        [(f"t{i}", *row) for i, row in enumerate(matrix.tolist())]))
    random = numpy.random.default_rng(2)
    (folder / "rows.csv").write_text(csv(
        ["x", "z", "bag", "kind", "y"],
        [(*random.standard_normal(2).round(3), f"b{i % 20}", "ab"[i % 2], i % 7)
         for i in range(80)]))
    (folder / "others.csv").write_text(csv(
        ["x", "z", "bag", "kind", "y"],
        [(*random.standard_normal(2).round(3), f"c{i % 20}", "ab"[i % 2], i % 7)
         for i in range(80)]))


def write_shared_data(folder):
    """What an experiment reads of the folder that AMALGAM_DATA names."""
    random = numpy.random.default_rng(4)
    (folder / "tabular").mkdir()
    (folder / "tabular" / "diabetes.csv").write_text(csv(
        ["age", "sex", "bmi", "bp", "s1", "s2", "s3", "s4", "s5", "s6", "target"],
        random.standard_normal((420, 11)).round(3).tolist()))


def lm_eval_results(model, accuracy):
    return json.dumps({"results": {"arc": {"alias": "arc", "acc,none": accuracy,
                                           "acc_stderr,none": 0.01},
                                   "law": {"acc,none": 1 - accuracy, "alias": "law"}},
                       "configs": {"arc": {"task": "arc"}}, "versions": {"arc": 1},
                       "higher_is_better": {"arc": {"acc": True}},
                       "config": {"model": "hf", "model_args": f"pretrained={model}"},
                       "model_name": ""})


def write_score_files(folder):
    systems = range(8)
    (folder / "scores.csv").write_text(csv(
        ["system", "a", "b", "c"],
        [(f"s{s}", s * 0.1, (s * 7 % 5) * 0.2, 1 - s * 0.05) for s in systems]))
    (folder / "long.csv").write_text(csv(
        ["system", "task", "instance", "score"],
        [(f"s{s}", f"t{t}", i, (s * i + t) % 2) for s in systems for t in range(2)
         for i in range(6)]))
    (folder / "battles.csv").write_text(csv(
        ["model_a", "model_b", "winner"],
        [(f"s{i % 8}", f"s{(i + 1 + i % 3) % 8}", ["model_a", "model_b", "tie"][i * i % 3])
         for i in range(60)]))
    for name, accuracy in (("x", 0.25), ("y", 0.375)):
        (folder / "lm" / name).mkdir(parents=True)
        (folder / "lm" / name / "results_2025-01-01T00-00-00.1.json").write_text(
            lm_eval_results(name, accuracy))
    lines = [{"type": "metric", "name": "accuracy", "kind": "binary"}]
    for i in range(10):
        lines.append({"type": "sample", "dataset": "d", "id": str(i), "tags": ["art"],
                      "question": f"a question of chemistry {i}"})
        lines += [{"type": "measurement", "dataset": "d", "sample": str(i), "metric": "accuracy",
                   "model": f"m{m}", "value": (m * i) % 2} for m in range(3)]
    (folder / "pool.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (folder / "more.jsonl").write_text(json.dumps(
        {"type": "measurement", "dataset": "d", "sample": "1", "metric": "accuracy", "model": "m9",
         "value": 1}) + "\n")


def write_study_files(folder):
    accuracies = [0.5 + 0.025 * i for i in range(20)]
    (folder / "models.csv").write_text(csv(
        ["name", "run", "majority", "minority"],
        [(f"m{i}", f"r{i // 4}", x, 0.25 + (x - 0.75) ** 2 + (i % 3 - 1) * 0.002)
         for i, x in enumerate(accuracies)]))
    (folder / "answers.csv").write_text(csv(
        ["answer", "series"], [(["yes", "no"][i * i % 3 % 2], i // 20) for i in range(200)]))
    (folder / "resolutions.csv").write_text(csv(
        ["model", "dataset", "resolution", "accuracy", "classes"],
        [(model, data, size, level + 5 * m, 10) for m, model in enumerate("abc")
         for data in "xy" for size, level in (("HR", 80), (64, 70), (16, 40))]))
    (folder / "corpus.txt").write_text("Yes, and again yes; no.\n")
    (folder / "sizes.csv").write_text("model,size\na,1\nb,3\nc,2\n")
    for name in ("one", "two"):
        (folder / f"{name}.csv").write_text(csv(
            ["city", "people", "name"],
            [(f"c{i % 3}", i * 7, f"{name}{i}") for i in range(12)]))
    random = numpy.random.default_rng(3)
    numpy.save(folder / "features.npy", random.standard_normal((60, 4)).astype(numpy.float32))
    numpy.save(folder / "labels.npy", (numpy.arange(60) % 3).astype(numpy.int64))

