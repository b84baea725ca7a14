#!/usr/bin/env python3
"""Writes the seed corpora of the fuzz targets for files of measurements.

Usage: scripts/make_scores_corpus.py [fuzz/corpus]
Small good files of each form and files with one thing wrong, each behind a byte that says how it is read.
"""
import json
import pathlib
import sys

# The first byte: form + 6 * (0 separated values, 1 JSON lines, 2 JSON) + 18 * repeats.
AUTOMATIC, WIDE, LONG, BATTLES, ARENA, RANKING = range(6)
LINES, JSON = 6, 12
CONTROLLED = 144  # with clusters and covariates

BATTLE = {"model_a": "x", "model_b": "y", "winner": "model_a", "judge": "u", "anony": True,
          "dedup_tag": {"sampled": True}, "length_a": 3, "length_b": 4,
          "conv_metadata": {"header_count_a": {"h1": 2}, "header_count_b": {"h1": 1}}}

FILES = {
    "wide": (WIDE, "model,Score,A,B\nx,9,1,2\ny,8,3,NA\nz,7,,1e-3\n"),
    "wide_quoted": (AUTOMATIC, "m,\"A,1\"\r\n\"x \"\"y\"\"\",1\r\nz,2\r\n"),
    "wide_twice": (WIDE + 18, "m,A\nx,1\nx,2\ny,3\n"),
    "wide_infinite": (WIDE, "m,A\nx,inf\ny,1\n"),
    "wide_text": (WIDE, "m,A,B\nx,1,u\ny,2*,v\n"),
    "long": (LONG, "system,task,instance,score,kind,weight,higher_is_better\n"
                   "x,A,1,1,binary,2,true\ny,A,1,0,binary,2,true\nx,B,1,0.5,,,\n"),
    "long_contradiction": (LONG, "system,task,score,kind\nx,A,1,binary\ny,A,1,ordinal\n"),
    "long_metric": (AUTOMATIC, "model,dataset,metric,value\nx,A,acc,True\ny,A,acc,false\n"),
    "lines": (AUTOMATIC + LINES, '{"system": "x", "task": "A", "score": NaN}\n'
                                 '{"system": "y", "task": "A", "score": 1}\n'
                                 '{"system": "x", "task": "A", "score": true}\n'),
    "list": (AUTOMATIC + JSON, '[{"system": "x", "task": "A", "score": 1},\n'
                               ' {"system": "y", "task": "A", "score": 2}]'),
    "battles": (BATTLES, "model_a,model_b,winner,weight\nx,y,model_a,1\ny,z,tie (bothbad),0.5\nx,z,z,2\n"),
    "battles_flags": (BATTLES, "model_a,model_b,winner_model_a,winner_model_b,winner_tie\nx,y,1,0,0\n"),
    "battles_winner": (BATTLES, "model_a,model_b,winner\nx,y,w\n"),
    "battles_controlled": (CONTROLLED + BATTLES,
                           "model_a,model_b,winner,judge,length_a,length_b,headers\nx,y,a,u,1,2,3\n"),
    "arena": (ARENA + JSON, json.dumps([BATTLE, dict(BATTLE, anony=False)])),
    "arena_controlled": (CONTROLLED + 10, json.dumps(BATTLE) + "\n"),
    "ranking": (RANKING + JSON, json.dumps({"method": "m", "ranking": [
        {"system": "x", "rank": 1}, {"system": "y", "rank": 2}]})),
    "ranking_table": (RANKING, "system,rank\nx,1\ny,1\n"),
}

# The first byte: which file + 6 * (1: metrics are named) + 12 * repeats, from 128 on with the form found out.
RESULTS, SAMPLES, INSPECT, STATS, INSTANCES, SPECIFICATION = range(6)
STAT = {"name": {"name": "f1_score", "split": "test"}, "count": 1, "mean": 0.5}

EXPORTS = {
    "results": (RESULTS, {
        "results": {"t": {"alias": "t", "acc,none": 0.5, "acc_stderr,none": 0.1, "acc_norm,none": 1},
                    "g": {"acc,none": 0.5}},
        "group_subtasks": {"g": ["t"]}, "higher_is_better": {"t": {"acc_norm": False}},
        "config": {"model_args": "pretrained=x,dtype=y"}, "versions": {}}),
    "results_metrics": (RESULTS + 6, {"results": {"t": {"f1,none": 0.5}}, "model_name": "x"}),
    "results_found": (132, {"results": {"t": {"acc": 0.5}}, "versions": {}}),
    "inspect": (INSPECT, {
        "version": 2, "status": "success", "eval": {"task": "t", "model": "x"},
        "results": {"scores": [{"name": "m", "metrics": {"accuracy": {"value": 1}}}]},
        "samples": [{"id": 1, "epoch": 1, "scores": {"m": {"value": "C"}, "n": {"value": {"a": 1}}}}]}),
    "inspect_whole": (INSPECT, {"eval": {"task": "t", "model": "x"},
                                "results": {"scorer": {"name": "m"}, "metrics": {"mean": {"value": 1}}}}),
    "stats": (STATS, [STAT, {"name": {"name": "f1_score", "perturbation": {"name": "typos"}}, "mean": 1}]),
    "instances": (INSTANCES, [{"instance_id": "i", "train_trial_index": 0, "stats": [STAT]}]),
    "specification": (SPECIFICATION, {"name": "t:a=b,model=x", "adapter_spec": {"model": "x"}}),
}
SAMPLE = {"doc_id": 0, "filter": "none", "metrics": ["acc"], "acc": 1.0, "resps": [["a"]]}


def main():
    root = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else "fuzz/corpus")
    for target, files in (("score_files", FILES), ("score_exports", EXPORTS)):
        folder = root / target
        folder.mkdir(parents=True, exist_ok=True)
        for name, (byte, contents) in files.items():
            text = contents if isinstance(contents, str) else json.dumps(contents)
            (folder / name).write_bytes(bytes([byte]) + text.encode())
    (root / "score_exports" / "samples").write_bytes(
        bytes([SAMPLES]) + "".join(json.dumps(dict(SAMPLE, doc_id=i)) + "\n" for i in (0, 1)).encode())


if __name__ == "__main__":
    main()
