#!/bin/sh
# Trains one small network and six fine-tuned copies of it on Fashion-MNIST, merges them by a dozen
# methods, and compares members, merges and ensembles. Everything is done by the amalgam command.
# Usage: demo.sh AMALGAM OUTPUT_FOLDER      (DEMO_QUICK=1: a minute, with less training)
set -eu
amalgam=$1
out=$2
here=$(dirname "$0")/demo

mkdir -p "$out"
for part in members merges curve candidates fisher; do
  rm -rf "${out:?}/$part"
  mkdir "$out/$part"
done
rm -f "$out"/*.safetensors "$out"/*.json "$out"/*.html "$out"/*.svg "$out"/commands.txt

fast_base=""
fast_member=""
fisher_examples=2048
if [ "${DEMO_QUICK:-0}" = 1 ]; then
  fast_base="--set data.examples=6000 --set epochs=2"
  fast_member="--set data.examples=4000 --set epochs=1"
  fisher_examples=256
fi

say() { printf '\n== %s\n' "$*"; }
# Keeps the commands for the report, without the folder of this machine. Networks as small as these
# run fastest on one thread each, two of them at a time.
run() {
  case $1 in train | evaluate | fisher) set -- "$@" --threads 1 ;; esac
  printf 'amalgam %s\n' "$*" | sed "s|\([ ,]\)$here/|\1scripts/demo/|g; s|\([ ,]\)$out/|\1|g" >> "$out/commands.txt"
  "$amalgam" "$@"
}
merge() { # NAME ARGUMENTS...: quietly, and says that it is done
  name=$1
  shift
  run merge "$@" -o "$out/$name.safetensors" --quiet
  echo "$out/$name.safetensors"
}
choose() { # NAME FILES...: the best of FILES on validation images becomes merges/NAME
  name=$1
  shift
  chosen=$(run evaluate "$@" --split validation --best --quiet)
  cp "$chosen" "$out/merges/$name.safetensors"
  echo "$out/merges/$name.safetensors: $(basename "$chosen" .safetensors), best on validation images"
}

say "training the base network"
# shellcheck disable=SC2086
run train "$here/base.yml" -o "$out/base.safetensors" $fast_base

say "fine-tuning six members, two at a time"
train_member() {
  # shellcheck disable=SC2086
  run train "$here/members/$1.yml" --init "$out/base.safetensors" \
    -o "$out/members/$1.safetensors" $fast_member
}
set -- "$here"/members/*.yml
while [ $# -gt 0 ]; do
  train_member "$(basename "$1" .yml)" &
  first=$!
  shift
  if [ $# -gt 0 ]; then
    train_member "$(basename "$1" .yml)"
    shift
  fi
  wait "$first"
done

set -- "$out"/members/*.safetensors
count=$#
share=$(echo "$count" | awk '{ print 1 / $1 }')
base=$out/base.safetensors
best=$(run evaluate "$@" --split validation --best --quiet)
others=""
fishers=""
for member in "$@"; do
  [ "$member" = "$best" ] || others="$others $member"
  fishers="$fishers,$out/fisher/$(basename "$member")"
done
# shellcheck disable=SC2086
second=$(run evaluate $others --split validation --best --quiet)

say "merging"
merge merges/uniform-soup --method linear "$@" -p weight=1
run merge --method greedy_soup "$@" --data fashion-mnist --threads 1 --json --quiet \
  -o "$out/merges/greedy-soup.safetensors" > "$out/soup.json"
echo "$out/merges/greedy-soup.safetensors"

for weight in "$share" 0.25 0.35; do
  merge "candidates/task-arithmetic-$weight" --method task_arithmetic --base "$base" "$@" \
    -p weight="$weight"
done
choose task-arithmetic "$out"/candidates/task-arithmetic-*.safetensors

for density in 0.2 0.5 0.8; do
  merge "candidates/ties-$density" --method ties --base "$base" "$@" -p weight=1 \
    -p density="$density"
  merge "candidates/dare-$density" --method dare_linear --base "$base" "$@" -p weight="$share" \
    -p density="$density" --seed 1
done
choose ties "$out"/candidates/ties-*.safetensors
choose dare "$out"/candidates/dare-*.safetensors

for member in "$@"; do
  run fisher "$member" -o "$out/fisher/$(basename "$member")" --examples "$fisher_examples" --quiet
done
merge merges/fisher --method fisher "$@" -p fisher="${fishers#,}"
merge merges/geometric-median --method geometric_median "$@"
merge merges/slerp --method slerp --base "$best" "$second" -p t=0.5
merge curve/wise-ft --method wise_ft --base "$base" "$best" -p "alpha=[0,0.2,0.4,0.6,0.8,1]"
choose wise-ft "$out"/curve/*.safetensors

say "evaluating on the test images, once"
judge() { # NAME ARGUMENTS...: everything, on the test images
  name=$1
  shift
  run evaluate "$out"/members/*.safetensors --ensemble --probability-ensemble \
    --also "$base" "$out"/merges/*.safetensors "$out"/curve/*.safetensors \
    --reference "$best" --json --quiet "$@" > "$out/$name.json"
}
judge test &
test_run=$!
judge shifted --corrupt shift=1,noise=0.25
wait "$test_run"

merged=$(run evaluate "$out"/merges/*.safetensors --split validation --best --quiet)
cp "$merged" "$out/merged.safetensors"

run report --test "$out/test.json" --shifted "$out/shifted.json" --soup "$out/soup.json" \
  --commands "$out/commands.txt" -o "$out/report.html" --svg "$out/demo.svg"
say "report: $out/report.html"
echo "merged network (the best on validation images, $(basename "$merged" .safetensors)):" \
  "$out/merged.safetensors"
