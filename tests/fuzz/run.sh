#!/bin/bash
# Builds the fuzz targets and runs each for SECONDS (60 unless told), two at a time, under ASan and UBSan.
# usage: tests/fuzz/run.sh [SECONDS]. Prints a line a target; status 1 if one found something (its input is kept in
# build/fuzz/findings/). Seeds in tests/fuzz/seeds/<target>/ are used where they exist.
set -u
cd "$(dirname "$0")/../.."
seconds=${1:-60}
cmake --preset fuzz >/dev/null && cmake --build --preset fuzz || exit 1

mkdir -p build/fuzz/findings build/fuzz/corpus build/fuzz/logs
fuzz_one() {
  local target=$1 name corpus log
  name=$(basename "$target"); name=${name#fuzz_}
  corpus=build/fuzz/corpus/$name; log=build/fuzz/logs/$name.log
  mkdir -p "$corpus"
  local inputs=("$corpus")
  [ -d "tests/fuzz/seeds/$name" ] && inputs+=("tests/fuzz/seeds/$name")
  if "$target" -max_total_time="$seconds" -timeout=20 -rss_limit_mb=2048 -print_final_stats=1 -verbosity=0 \
      -artifact_prefix="build/fuzz/findings/$name-" "${inputs[@]}" >"$log" 2>&1 </dev/null; then
    echo "fuzz $name: $(sed -n 's/.*number_of_executed_units: *//p' "$log") runs in $seconds s, no finding"
  else
    echo "fuzz $name: FOUND SOMETHING, see $log"
    grep -aE -m 3 'ERROR|SUMMARY|Test unit' "$log" | sed 's/^/    /'
    return 1
  fi
}

failed=0 found=0
shopt -s nullglob
pids=()
for target in build/fuzz/tests/fuzz_*; do
  [ -f "$target" ] && [ -x "$target" ] || continue
  found=$((found + 1))
  if [ ${#pids[@]} -eq 2 ]; then
    wait "${pids[0]}" || failed=$((failed + 1))
    pids=("${pids[1]}")
  fi
  fuzz_one "$target" & pids+=($!)
done
for pid in "${pids[@]}"; do wait "$pid" || failed=$((failed + 1)); done
echo "fuzz: $((found - failed)) targets without a finding, $failed with"
[ $failed -eq 0 ]
