#!/bin/bash
# Installs what is needed, builds, and runs every test of the project: unit and end-to-end tests in release and under
# sanitizers, the fuzz targets for 60 s each, formatting, clang-tidy. Works from a fresh clone, without a terminal, and
# needs no other folder (recordings in ../shared/corpus are used where they are found).
# The last line is "N passed, N failed"; status 1 if anything failed. Logs stay in build/logs/.
# usage: tests/run.sh [--fast]      --fast leaves out the sanitizers, fuzzing, clang-tidy and the package, and plays 2,000 random sessions
set -u
cd "$(dirname "$0")/.."
exec </dev/null
fast=0
case "${1:-}" in
  "") ;;
  --fast) fast=1 ;;
  *) echo "usage: tests/run.sh [--fast]" >&2; exit 2 ;;
esac

export CCACHE_BASEDIR=$PWD CCACHE_NOHASHDIR=1
export ASAN_OPTIONS=abort_on_error=0:detect_leaks=1 UBSAN_OPTIONS=print_stacktrace=1
export TSAN_OPTIONS=halt_on_error=1:second_deadlock_stack=1
mkdir -p build/logs
passed=0 failed=0 failures=()

# stage NAME COMMAND...: one test of its own; its output goes to build/logs/NAME.log and is shown when it fails.
stage() {
  local name=$1 log=build/logs/$1.log started=$SECONDS
  shift
  if "$@" >"$log" 2>&1; then
    passed=$((passed + 1))
    echo "ok      $name ($((SECONDS - started)) s)$(tail -n 1 "$log" | grep -a '^[a-z]*: ' | sed 's/^/: /')"
  else
    failed=$((failed + 1)) failures+=("$name")
    echo "FAILED  $name ($((SECONDS - started)) s), the end of $log:"
    tail -n 40 "$log"
    return 1
  fi
}

# tests PRESET CTEST-OPTIONS...: every test of a preset counts for itself.
tests() {
  local preset=$1 log=build/logs/test-$1.log started=$SECONDS counts
  shift
  "${launcher[@]}" ctest --test-dir "build/$preset" --no-tests=error --output-on-failure "$@" >"$log" 2>&1
  # "97% tests passed, 1 tests failed out of 37"
  counts=$(sed -nE 's/^[0-9]+% tests passed, ([0-9]+) tests? failed out of ([0-9]+).*/\1 \2/p' "$log" | tail -n 1)
  if [ -z "$counts" ]; then
    failed=$((failed + 1)) failures+=("tests of $preset")
    echo "FAILED  the tests of $preset did not run:"
    tail -n 20 "$log"
    return 1
  fi
  set -- $counts
  failed=$((failed + $1)) passed=$((passed + $2 - $1))
  echo "$([ "$1" -eq 0 ] && echo 'ok     ' || echo FAILED) tests of $preset ($((SECONDS - started)) s): $(($2 - $1)) of $2 passed"
  grep -aE '\*\*\*Skipped' "$log" | sed 's/^/        not run here: /'
  # What the end-to-end tests covered, in figures.
  grep -aE '^(summary|skipped): ' "build/$preset/Testing/Temporary/LastTest.log" | sed 's/^/        /'
  if [ "$1" -ne 0 ]; then
    failures+=("$1 tests of $preset")
    grep -aE '^ *[0-9]+ - ' "$log" | sed 's/^/        /'
    echo "        (see $log)"
    grep -aE -m 40 'FAILED|Error|ERROR|assert|Sanitizer' "$log" | head -n 40
  fi
}

# build PRESET [TARGET...]
build() {
  local preset=$1
  shift
  local options=(-DSMTPSCOPE_TESTS=ON)
  [ $fast -eq 1 ] && options+=(-DSMTPSCOPE_RANDOM_SESSIONS=2000)
  cmake --preset "$preset" "${options[@]}" && cmake --build --preset "$preset" ${1:+--target "$@"}
}
format() {
  find config capture proxy tests \( -name '*.cpp' -o -name '*.h' \) -print0 |
    xargs -0 clang-format --dry-run -Werror && echo "format: all sources are as clang-format wants them"
}
tidy() {
  # run-clang-tidy takes regular expressions of paths; tests are checked by the compiler's warnings alone.
  timeout 2400 run-clang-tidy -quiet -p build/release -j "$(nproc)" "^$PWD/(config|capture|proxy)/.*\.cpp$" 2>&1 |
    grep -avE 'warnings generated|^Suppressed|^Use -header-filter|^clang-tidy-?[0-9]* .*-p|^$'
  [ "${PIPESTATUS[0]}" -eq 0 ] && echo "tidy: clean"
}

launcher=()
stage install deploy/install-deps.sh --tests
stage format format
if stage build-release build release; then
  # The package's test fetches a Debian and takes minutes of its own.
  if [ $fast -eq 1 ]; then tests release -LE package; else tests release; fi
fi
if [ $fast -eq 0 ]; then
  if stage build-asan build asan; then tests asan; fi
  # Old ThreadSanitizers cannot live with much address-space randomisation; turn it off where that is allowed.
  setarch "$(uname -m)" -R true 2>/dev/null && launcher=(setarch "$(uname -m)" -R)
  if stage build-tsan build tsan smtpscope test_proxy_relay; then tests tsan -R '^proxy/relay$|^e2e/(random|limits)'; fi
  launcher=()
  stage fuzz tests/fuzz/run.sh 60
  grep -a '^fuzz [a-z]' build/logs/fuzz.log | sed 's/^/        /'
  stage tidy tidy
fi

[ ${#failures[@]} -eq 0 ] || printf 'failed: %s\n' "${failures[@]}"
echo "all stages took $SECONDS s"
echo "$passed passed, $failed failed"
[ $failed -eq 0 ]
