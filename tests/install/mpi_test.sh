#!/bin/sh
# One job of several processes gives the bits of one process, and ends as a whole if it fails.
#   mpi_test.sh BINARY MPIEXEC
set -eu
binary=$1
mpiexec=$2
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
# For containers: Open MPI refuses to run as root, or more processes than processors, unless told.
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
export OMPI_MCA_rmaps_base_oversubscribe=1 OMPI_MCA_btl=self,vader,tcp
export OMPI_MCA_btl_vader_single_copy_mechanism=none
if ! "$mpiexec" -n 2 true > "$folder/probe" 2>&1; then
  echo "this machine's MPI starts no processes:"
  cat "$folder/probe"
  exit 77
fi

awk 'BEGIN {
  print "task,worker,label"
  for (task = 0; task < 20000; ++task)
    for (vote = 0; vote < 3; ++vote) {
      worker = (task * 7 + vote * 5) % 17
      right = (task * 31 + worker * 17 + vote) % 10 < 5 + worker % 5
      print "t" task ",w" worker "," (right ? task % 3 : (task + vote) % 3)
    }
}' > "$folder/annotations.csv"

run() { # processes, prefix of outputs
  "$mpiexec" -n "$1" "$binary" label aggregate "$folder/annotations.csv" --method dawid-skene \
    --threads 1 --quiet --out "$folder/$2.labels.csv" --soft "$folder/$2.soft.csv" \
    --confusion "$folder/$2.confusion.csv" > "$folder/$2.out" 2> "$folder/$2.err"
}

"$binary" label aggregate "$folder/annotations.csv" --method dawid-skene --quiet \
  --out "$folder/alone.labels.csv" --soft "$folder/alone.soft.csv" \
  --confusion "$folder/alone.confusion.csv" > "$folder/alone.out"
for processes in 1 2 3; do
  run "$processes" "with$processes"
  for file in labels soft confusion; do
    cmp "$folder/alone.$file.csv" "$folder/with$processes.$file.csv"
  done
  [ "$(grep -c 'dawid-skene: 20000 tasks' "$folder/with$processes.out")" = 1 ] ||
    { echo "$processes processes: the result is not printed once"; exit 1; }
done

code=0
"$mpiexec" -n 2 "$binary" label aggregate "$folder/missing.csv" --out "$folder/x.csv" \
  > /dev/null 2> "$folder/missing.err" || code=$?
[ "$code" = 2 ] || { echo "a missing file ends with $code, expected 2"; exit 1; }
grep -q 'missing.csv' "$folder/missing.err"

code=0
"$mpiexec" -n 2 "$binary" label methods > /dev/null 2> "$folder/methods.err" || code=$?
[ "$code" = 2 ] || { echo "what cannot be shared ends with $code, expected 2"; exit 1; }
grep -q 'processes were started together' "$folder/methods.err"
