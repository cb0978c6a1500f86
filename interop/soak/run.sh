#!/usr/bin/env bash
# The soak: see soak.mjs for what it does and for what can be set.
#
#   interop/soak/run.sh                     a minute
#   SOAK_SECONDS=3600 interop/soak/run.sh   an hour, with a release build of the server
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
profile=dev directory=debug
if [[ ${SOAK_SECONDS:-60} -ge 600 ]]; then profile=release directory=release; fi
# shellcheck source=../faults/prepare.sh
source "$here/../faults/prepare.sh"
exec node "$here/soak.mjs"
