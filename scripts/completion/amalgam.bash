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
  elif [[ $previous == --dtype || $previous == --quant ]]; then
    words=$("$program" convert --help 2>/dev/null | sed -n '/--dtype TYPE/,/--quant TYPE/p' |
      grep -o -E '\<(B?F(16|32|64)|F8_E[0-9]M[0-9]|fp8_[a-z]+|I?Q[0-9]_[0-9A-Z_]+)\>' | sort -u)
    if [[ $previous == --quant ]]; then words=$(grep Q <<<"$words"); fi
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
