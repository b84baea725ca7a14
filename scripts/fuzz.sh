#!/bin/sh
# Runs every fuzz target on its corpus, sharing a time budget. New inputs go to a temporary folder;
# an input that fails is left as fuzz-failure-* in the current folder.
# Usage: fuzz.sh BUILD_FOLDER SECONDS
set -eu
build=$1
seconds=$2
targets=$(ls "$build"/bin/*_fuzz)
count=$(echo "$targets" | wc -l)
jobs=$(nproc)
each=$((seconds * jobs / count))
found=$(mktemp -d)
trap 'rm -rf "$found"' EXIT
for target in $targets; do
  name=$(basename "$target" _fuzz)
  mkdir -p "$found/$name"
  echo "$target -max_total_time=$each -timeout=10 -rss_limit_mb=2048 -print_final_stats=1" \
    "-verbosity=0 -artifact_prefix=fuzz-failure-$name- $found/$name fuzz/corpus/$name"
done | xargs -P "$jobs" -I{} sh -c '{}'
echo "fuzz: $count targets, ${each}s each, nothing found"
