#!/usr/bin/env bash
# The bash completion offers commands, options, methods and types, and else leaves it to file names.
#   completion_test.sh BINARY COMPLETION
set -euo pipefail
PATH="$(dirname "$1"):$PATH"
source "$2"

# complete WORDS...: the last one is completed.
complete_words() {
  COMP_WORDS=(amalgam "$@")
  COMP_CWORD=$#
  _amalgam
  echo " ${COMPREPLY[*]:-} "
}

expect() {
  local wanted=$1
  shift
  local found
  found=$(complete_words "$@")
  if [[ $found != *" $wanted "* ]]; then
    echo "amalgam $*: expected '$wanted' among '$found'" >&2
    exit 1
  fi
}

expect inspect i
expect merge ""
expect --stats inspect model --st
expect --overwrite convert --
expect BF16 convert a b --dtype B
expect Q8_0 convert a b --quant Q8
expect Q4_K_M merge recipe.yml --dtype Q4
expect fp8_block merge recipe.yml --dtype fp8
expect dare_ties merge --method dare
expect local-kemeny rank --method local
expect dawid-skene label aggregate a.csv --method dawid
expect aggregate label a
expect methods rank m
[[ -z $(complete_words inspect "" | tr -d ' ') ]] || { echo "file names are bash's business" >&2; exit 1; }
