# Bash completion of amalgam. Commands, options and methods are read from the program's own help, so
# they are those of the version that is installed.

_amalgam() {
  local program=${COMP_WORDS[0]} word=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]}
  local words=""
  COMPREPLY=()
  if ((COMP_CWORD == 1)); then
    words="--help --version $("$program" --help 2>/dev/null |
      sed -n '/^Subcommands:/,/^$/s/^  \([a-z][a-z_-]*\).*/\1/p')"
  elif [[ $previous == --method ]]; then
    words=$("$program" "${COMP_WORDS[1]}" methods --json 2>/dev/null |
      sed -n 's/^      "name": "\([a-z_-]*\)".*/\1/p')
  elif [[ $previous == --dtype ]]; then
    words="F64 F32 F16 BF16 F8_E4M3 F8_E5M2"
  elif [[ $previous == --quant ]]; then
    words="Q8_0 Q5_1 Q5_0 Q4_1 Q4_0"
  elif [[ $word == -* ]]; then
    words=$("$program" "${COMP_WORDS[1]}" --help 2>/dev/null | grep -o -E -e '--[a-z][a-z-]*' | sort -u)
  elif ((COMP_CWORD == 2)); then
    words=$("$program" "${COMP_WORDS[1]}" --help 2>/dev/null |
      sed -n '/^Subcommands:/,/^$/s/^  \([a-z][a-z_-]*\).*/\1/p')
  fi
  # Without words of ours, "-o default" completes file names.
  mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word")
}

complete -o default -F _amalgam amalgam
