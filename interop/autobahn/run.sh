#!/usr/bin/env bash
# The cases of the Autobahn test suite against an echo server on the engine that ships: see fuzz.py.
#
#   interop/autobahn/run.sh              framing to closing, and a sample of the large and of the compressed messages
#   AUTOBAHN=all interop/autobahn/run.sh  all of them, with a release build, compressed messages with and without takeover
#   interop/autobahn/run.sh 6.4.* 7.*    only these
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(dirname "$(dirname "$here")")
state=$root/target/autobahn
work=$(mktemp -d)
server=
finish() {
    trap - EXIT
    [[ -z $server ]] || kill "$server" 2>/dev/null || true
    rm -rf "$work"
}
trap finish EXIT
trap 'exit 143' INT TERM

quietly() {
    if ! "$@" >"$work/quietly.log" 2>&1; then
        cat "$work/quietly.log" >&2
        echo "autobahn: failed: $*" >&2
        exit 1
    fi
}

packages() {
    if ! python3 -c 'import ensurepip, venv' 2>/dev/null; then
        local as_root=(env DEBIAN_FRONTEND=noninteractive)
        [[ $(id -u) -eq 0 ]] || as_root=(sudo "${as_root[@]}")
        quietly "${as_root[@]}" apt-get update
        quietly "${as_root[@]}" apt-get install -y --no-install-recommends python3 python3-venv
    fi
    if ! cat "$here"/{requirements,cases}.txt | cmp -s - "$state/installed"; then
        rm -rf "$state"
        mkdir -p "$state/download" "$state/suite"
        quietly python3 -m venv "$state/venv"
        local pip=("$state/venv/bin/pip" --disable-pip-version-check)
        quietly "${pip[@]}" install -r "$here/requirements.txt"
        # Quicker, where it is there ready-made.
        "${pip[@]}" install --only-binary :all: wsaccel >/dev/null 2>&1 || true
        # For Python 2, so it cannot be installed; its cases can be read.
        quietly "${pip[@]}" download --no-deps --no-binary :all: -d "$state/download" -r "$here/cases.txt"
        tar -xzf "$state"/download/*.tar.gz -C "$state/suite" --strip-components 1
        cat "$here"/{requirements,cases}.txt >"$state/installed"
    fi
}

# against SERVER-OPTIONS PATTERN...
against() {
    local address options=() status=0
    [[ -z $1 ]] || options=("$1")
    shift
    "${server_command[@]}" "${options[@]}" >"$work/server.out" 2>"$work/server.err" &
    server=$!
    for _ in $(seq 600); do
        address=$(sed -n '1s|.*http\(://[^ /]*\).*|ws\1|p' "$work/server.out")
        [[ -z $address ]] && kill -0 "$server" || break
        sleep 0.05
    done
    PYTHONDONTWRITEBYTECODE=1 "$state/venv/bin/python" "$here/fuzz.py" \
        "$state/suite" "$address/engine.io/?EIO=4&transport=websocket" "$@" || status=1
    kill -0 "$server" || status=1
    kill "$server"
    wait "$server" 2>/dev/null || true
    server=
    [[ $status -eq 0 ]] || cat "$work/server.err"
    return $status
}

packages
profile=()
[[ ${AUTOBAHN:-} != all ]] || profile=(--release)
cargo=(-q "${profile[@]}" --manifest-path "$root/Cargo.toml" -p wirebird-interop --bin autobahn_server)
quietly cargo build "${cargo[@]}"
server_command=(cargo run "${cargo[@]}" --)

protocol=('1.*' '2.*' '3.*' '4.*' '5.*' '6.*' '7.*' '10.*')
if [[ $# -gt 0 ]]; then
    against '' "$@"
elif [[ ${AUTOBAHN:-} == all ]]; then
    against '' '*'
    against --takeover '12.*' '13.*'
else
    against '' "${protocol[@]}" 9.{1,2,3,4,5,6}.1 9.{7,8}.3 12.{1,2,3,4,5}.{1,4} 13.{1,2,3,4,5,6,7}.3
    against --takeover 12.{1,2}.{2,12} 13.{1,2,3,4,5,6,7}.4
fi
