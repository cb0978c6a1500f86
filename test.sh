#!/usr/bin/env bash
# All checks and tests, on a fresh machine with a Rust toolchain: what else they need is installed on the way.
#
#   ./test.sh             everything
#   ./test.sh rust        formatting, lints, docs, unit, property, scenario and doc tests
#   ./test.sh fuzz        each fuzz target for ten seconds (FUZZ_SECONDS)
#   ./test.sh model       a session beside its model, and servers in many orders of their threads (WIREBIRD_MODEL=100000: as many)
#   ./test.sh instructions  what hot paths cost, in instructions, under valgrind
#   ./test.sh frameworks  the examples for other web frameworks, which have many dependencies
#   ./test.sh deny        licences, sources and advisories of the dependencies
#   ./test.sh attacks     a server under attack, over raw sockets; ATTACKS_ROUNDS=10 for ten times as many
#   ./test.sh autobahn    the cases of the Autobahn test suite for WebSockets (AUTOBAHN=all: also the large ones, half an hour)
#   ./test.sh interop     real clients, proxies and a browser (Debian packages, npm, pip)
#   ./test.sh faults      servers that are killed, stopped, cut off …, under real clients (FAULTS_LONG=1: more rounds)
#   ./test.sh soak        mixed load with random faults for a minute (SOAK_SECONDS): does anything grow or get lost
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

as_root=(env DEBIAN_FRONTEND=noninteractive)
[[ $(id -u) -eq 0 ]] || as_root=(sudo "${as_root[@]}")

step() {
    printf '== %s\n' "$*"
    "$@"
}

rust() {
    step cargo fmt --all --check
    step cargo clippy --workspace --all-targets --quiet -- -D warnings
    # Without what is optional, too: in the workspace somebody always asks for it.
    step cargo clippy -p wirebird --all-targets --quiet -- -D warnings
    RUSTDOCFLAGS="-D warnings" step cargo doc --workspace --no-deps --quiet
    RUSTDOCFLAGS="-D warnings" step cargo doc -p wirebird --no-deps --quiet
    step cargo test --workspace --quiet
}

fuzz() {
    # libFuzzer is C++.
    if ! command -v c++ >/dev/null; then
        step "${as_root[@]}" apt-get update -qq
        step "${as_root[@]}" apt-get install -y -qq g++
    fi
    # The same inputs for the same code: what fails here fails again. Long runs set another seed, or 0 for any.
    FUZZ_SEED=${FUZZ_SEED:-1} step fuzz/run.sh "${FUZZ_SECONDS:-10}"
}

model() {
    # A workspace of its own, so a target directory of its own.
    CARGO_TARGET_DIR=$PWD/target/model step cargo test --manifest-path model/Cargo.toml --quiet
    # A few of each are among the tests of the engine anyway.
    if [[ -n ${WIREBIRD_MODEL:-} ]]; then step cargo test --quiet --release -p wirebird-engine --test model; fi
}

instructions() {
    if ! command -v valgrind >/dev/null; then
        step "${as_root[@]}" apt-get update -qq
        step "${as_root[@]}" apt-get install -y -qq valgrind
    fi
    # A workspace of its own, so a target directory of its own.
    CARGO_TARGET_DIR=$PWD/target/bench step bench/instructions/check
}

frameworks() {
    # A workspace of its own, so a target directory of its own.
    local in=(--manifest-path examples/frameworks/Cargo.toml)
    export CARGO_TARGET_DIR=$PWD/target/frameworks
    step cargo fmt "${in[@]}" --check
    step cargo clippy "${in[@]}" --all-targets --quiet -- -D warnings
    step cargo test "${in[@]}" --quiet
    unset CARGO_TARGET_DIR
}

deny() {
    if ! command -v cargo-deny >/dev/null; then
        step cargo install --quiet --locked cargo-deny
    fi
    step cargo deny --log-level error check licenses bans sources
    # The advisory database lives on a server of its own, which not every machine can reach.
    if timeout 60 cargo deny --log-level off fetch db >/dev/null 2>&1; then
        step cargo deny --log-level error check advisories
    else
        echo "the advisory database cannot be reached from here: advisories were not checked"
    fi
}

attacks() {
    step cargo run --quiet --profile attacks -p wirebird-attacks -- --quiet --rounds "${ATTACKS_ROUNDS:-1}"
}

autobahn() {
    step interop/autobahn/run.sh
}

interop() {
    step interop/run.sh
}

faults() {
    step interop/faults/run.sh
}

soak() {
    step interop/soak/run.sh
}

if [[ $# -eq 0 ]]; then set -- rust fuzz model instructions frameworks deny attacks autobahn interop faults soak; fi
for part in "$@"; do
    case $part in
    rust | fuzz | model | instructions | frameworks | deny | attacks | autobahn | interop | faults | soak) "$part" ;;
    *)
        echo "usage: ./test.sh [rust] [fuzz] [model] [instructions] [frameworks] [deny] [attacks] [autobahn] [interop] [faults] [soak]" >&2
        exit 2
        ;;
    esac
done
echo "== all passed"
