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

profile=dev directory=debug
# shellcheck source=prepare.sh
source "$here/prepare.sh"

files=()
for name in "$@"; do files+=("$here/$name.test.mjs"); done
[[ ${#files[@]} -gt 0 ]] || files=("$here"/*.test.mjs)
# A few at a time: each keeps a core or so busy.
exec node --test --test-concurrency="${FAULTS_JOBS:-2}" --test-reporter=spec "${files[@]}"
