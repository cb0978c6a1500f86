#!/bin/sh
# Runs every fuzz target for some seconds (5 by default), and fails if one crashes, hangs or eats memory.
#
#   fuzz/run.sh [seconds-per-target] [target...]
#   fuzz/run.sh figures           what was run so far with the corpora that are there
#
# FUZZ_JOBS targets run at once (by default as many as there are cores). FUZZ_SEED makes a run repeatable; without it
# every run tries other inputs. Needs a stable Rust toolchain and a C++ compiler (libFuzzer comes with libfuzzer-sys); no
# cargo-fuzz, no nightly.
set -eu
cd "$(dirname "$0")"

# One target, one line; the end of its log when it fails.
one() {
    target=$1 seconds=$2 binaries=$3
    log=artifacts/$target.log
    mkdir -p "corpus/$target" "artifacts/$target"
    seeds=seeds/$target
    [ -d "$seeds" ] || seeds=
    if ! "$binaries/$target" "corpus/$target" $seeds "-artifact_prefix=artifacts/$target/" \
        "-max_total_time=$seconds" "-seed=${FUZZ_SEED:-0}" -max_len=4096 -timeout=10 -rss_limit_mb=1024 -print_final_stats=1 -verbosity=0 \
        >"$log" 2>&1; then
        tail -n 100 "$log"
        echo "$target: FAILED; the input is in fuzz/artifacts/$target"
        exit 1
    fi
    inputs=$(sed -n 's/^stat::number_of_executed_units: //p' "$log")
    echo "$target $seconds $inputs" >>corpus/figures
    printf '%-22s %10d inputs in %d s\n' "$target" "$inputs" "$seconds"
}

case ${1-} in
one)
    shift
    one "$@"
    exit
    ;;
figures)
    awk '{ seconds[$1] += $2; inputs[$1] += $3 }
         END { for (target in seconds) printf "%-22s %7.2f h %14d inputs\n", target, seconds[target] / 3600, inputs[target] }' \
        corpus/figures | sort
    exit
    ;;
esac

seconds=${1:-5}
[ $# -gt 0 ] && shift
[ $# -gt 0 ] || set -- $(ls fuzz_targets | sed 's/\.rs$//')

# What cargo-fuzz passes, but for the sanitizer: coverage for libFuzzer, out of LLVM's own pass.
export RUSTFLAGS="--cfg fuzzing -Ccodegen-units=1 -Cpasses=sancov-module \
-Cllvm-args=-sanitizer-coverage-level=4 -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
-Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares ${RUSTFLAGS:-}"
host=$(rustc -vV | sed -n 's/^host: //p')
target_dir=${CARGO_TARGET_DIR:-target}
# --target keeps the flags away from build scripts and procedural macros.
cargo build --release --quiet --target "$host" --target-dir "$target_dir" $(printf -- '--bin %s ' "$@")

printf '%s\n' "$@" | xargs -P "${FUZZ_JOBS:-$(nproc)}" -I{} ./run.sh one {} "$seconds" "$target_dir/$host/release"
