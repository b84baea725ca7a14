#!/bin/sh
# Builds nothing: runs the benchmarks of a build folder. Figures belong into docs/performance.md.
# Usage: run.sh BUILD_FOLDER [options of merge_bench]
set -eu
build=$1
shift
"$build/bin/kernels_bench" --benchmark_min_time=0.2
"$build/bin/rules_bench"
"$build/bin/merge_bench" --folder "$build/bench-data" "$@"
rm -rf "$build/bench-data"
