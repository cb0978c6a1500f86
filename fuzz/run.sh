#!/bin/sh
# Runs every fuzz target for some seconds (5 by default), and fails if one crashes, hangs or eats memory.
#
#   fuzz/run.sh [seconds-per-target] [target...]
#
# Needs a stable Rust toolchain and a C++ compiler (libFuzzer comes with libfuzzer-sys); no cargo-fuzz, no nightly.
set -eu
cd "$(dirname "$0")"

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

for target in "$@"; do
    echo "== $target: $seconds s"
    mkdir -p "corpus/$target" "artifacts/$target"
    seeds=seeds/$target
    [ -d "$seeds" ] || seeds=
    "$target_dir/$host/release/$target" "corpus/$target" $seeds "-artifact_prefix=artifacts/$target/" \
        "-max_total_time=$seconds" -max_len=4096 -timeout=10 -rss_limit_mb=1024 -print_final_stats=1 -verbosity=0
done
