#!/bin/sh
# Runs clang-tidy on our sources, all of them or those that differ from a revision.
# Usage: lint.sh BUILD_FOLDER [REVISION]
set -eu
build=$1
since=${2:-}
if [ -n "$since" ]; then
  files=$(git diff --name-only --diff-filter=d "$since" -- '*.cpp')
else
  files=$(git ls-files '*.cpp')
fi
# Only what this build compiles has flags to check it with.
known=$(mktemp)
trap 'rm -f "$known"' EXIT
for file in $files; do
  if grep -q "\"file\": \"$PWD/$file\"" "$build/compile_commands.json"; then
    echo "$file" >> "$known"
  fi
done
[ -s "$known" ] || { echo "lint: nothing to check"; exit 0; }
echo "lint: $(wc -l < "$known") files"
check() { xargs -r -n 1 -P "$(nproc)" clang-tidy-16 --quiet -p "$build" "$@"; }
if [ -z "$since" ]; then
  check < "$known"
else
  # The linter looks through all of libtorch's headers, which takes a minute and a half per source
  # with every check: where only what changed is asked for, such sources get the checks for bugs.
  torch=$(grep -E '/(learning|learned|experiments)/' "$known" || true)
  grep -v -E '/(learning|learned|experiments)/' "$known" | check
  echo "$torch" | check '--checks=-*,bugprone-*,-bugprone-unchecked-optional-access,-bugprone-easily-swappable-parameters,-bugprone-exception-escape'
fi
echo "lint: clean"
