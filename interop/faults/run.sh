#!/usr/bin/env bash
# Faults with real clients: a server that is killed, stopped, cut off, out of descriptors; a clock that steps.
#
#   interop/faults/run.sh            each fault a few times, in about a minute
#   FAULTS_LONG=1 interop/faults/run.sh   more rounds
#   interop/faults/run.sh kill stop  only these
#
# What a machine does not allow (network namespaces need root) is skipped, and said.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)

as_root=(env DEBIAN_FRONTEND=noninteractive)
[[ $(id -u) -eq 0 ]] || as_root=(sudo "${as_root[@]}")

missing=()
command -v npm >/dev/null || missing+=(nodejs npm)
compgen -G '/usr/lib/*/faketime/libfaketimeMT.so.1' >/dev/null || missing+=(libfaketime)
command -v ip >/dev/null || missing+=(iproute2)
if [[ ${#missing[@]} -gt 0 ]]; then
    "${as_root[@]}" apt-get update -qq
    "${as_root[@]}" apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
fi
installed=$here/../js/node_modules/.package-lock.json
if [[ ! -f $installed || $here/../js/package-lock.json -nt $installed ]]; then
    npm --prefix "$here/../js" ci --silent --no-audit --no-fund
fi

cargo build --quiet --manifest-path "$root/Cargo.toml" -p wirebird-interop --bin fault_server
target=$(cargo metadata --manifest-path "$root/Cargo.toml" --format-version 1 --no-deps |
    node -p 'JSON.parse(require("fs").readFileSync(0, "utf8")).target_directory')
export FAULT_SERVER=$target/debug/fault_server

files=()
for name in "$@"; do files+=("$here/$name.test.mjs"); done
[[ ${#files[@]} -gt 0 ]] || files=("$here"/*.test.mjs)
# A few at a time: each keeps a core or so busy.
exec node --test --test-concurrency="${FAULTS_JOBS:-2}" --test-reporter=spec "${files[@]}"
