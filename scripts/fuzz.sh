#!/usr/bin/env bash
# Runs every fuzz target on its corpus, sharing a time budget. New inputs go to a temporary folder; an
# input that fails is left as fuzz-failure-TARGET-* in the current folder, and what the target said is shown.
# Usage: fuzz.sh BUILD_FOLDER SECONDS [SEED]
# Without SEED every run tries other inputs: for looking. With it a run tries the same inputs, at most
# 20000 per target, and SECONDS only cuts it short: for saying the same of the same tree each time.
set -euo pipefail
export build=$1 seconds=$2 seed=${3:-}
export inputs=20000 found each
found=$(mktemp -d)
trap 'rm -rf "$found"' EXIT
targets=$(find "$build/bin" -name '*_fuzz' | sort)
count=$(wc -l <<<"$targets")
jobs=$(nproc)
each=$((seconds * jobs / count))

# Comparisons that were seen (use_cmp) hold addresses, which differ from run to run.
run_target() {
  local name options=(-max_total_time="$each")
  name=$(basename "$1" _fuzz)
  mkdir "$found/$name"
  if [ -n "$seed" ]; then
    options+=(-seed="$seed" -runs="$inputs" -use_cmp=0)
  fi
  if "$1" "${options[@]}" -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 -verbosity=0 \
    -artifact_prefix="fuzz-failure-$name-" "$found/$name" "fuzz/corpus/$name" >"$found/$name.log" 2>&1; then
    printf '%-24s %9s inputs\n' "$name" "$(sed -n 's/^stat::number_of_executed_units: *//p' "$found/$name.log")"
  else
    # libFuzzer's hints for dictionaries are long, and say nothing of the failure.
    grep -vE '# Uses:|NEW_FUNC|^INFO:' "$found/$name.log" | tail -n 80
    echo "$name" >>"$found/failed"
  fi
}
export -f run_target

xargs -P "$jobs" -I{} bash -c 'run_target {}' <<<"$targets"
if [ -e "$found/failed" ]; then
  echo "fuzz: failed: $(sort "$found/failed" | paste -sd' ')"
  exit 1
fi
echo "fuzz: $count targets, at most ${each} s each, nothing found"
