#!/bin/sh
# The demo: trains a small base network on Fashion-MNIST and six fine-tuned copies that differ in
# rate, augmentation and regularisation, merges them in many ways, judges everything on the test set
# and writes FOLDER/report.html. Whatever is chosen is chosen on the validation split.
# Usage: demo.sh AMALGAM_BINARY FOLDER        DEMO_QUICK=1: a fraction of the training
set -eu
amalgam=$(realpath "$1")
folder=$2
mkdir -p "$folder"
cd "$folder"
rm -rf members merges curve fisher tried
mkdir members merges curve fisher tried
: > commands.txt

if [ "${DEMO_QUICK:-0}" = 1 ]; then
  base_examples=4000 base_epochs=2 member_examples=6000 member_epochs=1 judged=2000
else
  base_examples=8000 base_epochs=4 member_examples=24000 member_epochs=5 judged=10000
fi

say() { printf '\n%s\n' "$*"; }
# Small networks train fastest on one thread each, several at a time.
jobs=$(nproc)

cat > base.yml <<YAML
network: {architecture: cnn, channels: [16, 32], hidden: [64]}
data: {set: fashion-mnist, examples: $base_examples}
epochs: $base_epochs
batch: 64
optimizer: {name: sgd, learning_rate: 0.05, momentum: 0.9, weight_decay: 0.0005}
schedule: {name: cosine}
seed: 1
YAML
cat > member.yml <<YAML
init: base.safetensors
data: {set: fashion-mnist, first: $base_examples, examples: $member_examples}
epochs: $member_epochs
batch: 64
optimizer: {name: sgd, learning_rate: 0.02, momentum: 0.9, weight_decay: 0.0005}
schedule: {name: cosine, warmup: 50}
YAML

say "training the base network"
"$amalgam" train base.yml -o base.safetensors --overwrite --threads "$jobs"

say "fine-tuning six members"
train() { # NAME OVERRIDES...
  name=$1
  shift
  overrides=""
  for override in "$@"; do overrides="$overrides --set $override"; done
  echo "$amalgam train member.yml -o members/$name.safetensors --threads 1$overrides"
}
{
  train low-rate seed=2 optimizer.learning_rate=0.005
  train high-rate seed=3 optimizer.learning_rate=0.05
  train flip-and-shift seed=4 augment.flip=true augment.shift=1
  train noise seed=5 augment.noise=0.2
  train mixup seed=6 mixup=0.4
  train label-smoothing seed=7 label_smoothing=0.1
} | xargs -P "$jobs" -I{} sh -c '{}'

say "merging"
all=$(echo members/*.safetensors)
# Runs a merge and notes the command for the report.
merge() { # NAME WORDS...
  name=$1
  shift
  echo "amalgam merge $* -o merges/$name.safetensors" >> commands.txt
  "$amalgam" merge -q "$@" -o "merges/$name.safetensors"
}
# Tries the weights on the validation split and keeps the best: NAME METHOD WORDS...
merge_tuned() {
  name=$1
  method=$2
  shift 2
  for weight in 0.1 0.2 0.3 0.4 0.6 1; do
    "$amalgam" merge -q --method "$method" --base base.safetensors $all -p weight=$weight "$@" \
      -o "tried/$name-$weight.safetensors"
  done
  best=$("$amalgam" evaluate -q --best --split validation tried/"$name"-*.safetensors)
  weight=$(basename "$best" .safetensors)
  merge "$name" --method "$method" --base base.safetensors $all -p "weight=${weight#"$name"-}" "$@"
}
merge uniform-soup --method linear $all -p weight=1
merge_tuned task-arithmetic task_arithmetic
merge_tuned ties ties -p density=0.3 -p normalize=false
merge_tuned dare-linear dare_linear -p density=0.5 -p rescale=inverse_density
merge_tuned dare-ties dare_ties -p density=0.5
merge geometric-median --method geometric_median $all
merge median --method median $all
merge model-stock --method model_stock --base base.safetensors $all

echo "amalgam merge --method greedy_soup $all -o merges/greedy-soup.safetensors" >> commands.txt
"$amalgam" merge -q --method greedy_soup $all --json -o merges/greedy-soup.safetensors > soup.json

fishers=""
for member in $all; do
  name=$(basename "$member")
  echo "$amalgam fisher -q --threads 1 --examples 1024 $member -o fisher/$name"
  fishers="$fishers${fishers:+,}fisher/$name"
done > fisher.txt
xargs -P "$jobs" -I{} sh -c '{}' < fisher.txt
rm fisher.txt
merge fisher --method fisher $all -p "fisher=$fishers"

# SLERP and WiSE-FT take two networks: the base and the member that is best on the validation split.
best=$("$amalgam" evaluate -q --best --split validation $all)
merge slerp --method slerp --base base.safetensors "$best" -p t=0.7
merge wise-ft --method wise_ft --base base.safetensors "$best" -p alpha=0.7
"$amalgam" merge -q --method wise_ft --base base.safetensors "$best" \
  -p 'alpha=[0,0.1,0.2,0.3,0.4,0.5,0.6,0.7,0.8,0.9,1]' -o curve/wise-ft.safetensors

say "judging on the test set"
judge() { # OUTPUT WORDS...
  output=$1
  shift
  "$amalgam" evaluate -q --json --examples "$judged" --reference base.safetensors "$@" \
    base.safetensors $all merges/*.safetensors curve/*.safetensors > "$output.judged"
  mv "$output.judged" "$output"
}
judge test.json
judge shifted.json --corrupt shift=2,noise=0.2
"$amalgam" evaluate -q --examples "$judged" --ensemble $all > ensemble.txt

"$amalgam" report --test test.json --shifted shifted.json --soup soup.json \
  --commands commands.txt -o report.html --svg comparison.svg
rm -rf tried
"$amalgam" evaluate -q --examples "$judged" base.safetensors $all merges/*.safetensors
say "the logit ensemble of the six members"
tail -n 1 ensemble.txt
say "report: $folder/report.html    merged networks: $folder/merges/"
