# What tests with the fault server need: packages, and the server itself in FAULT_SERVER. To be sourced with `root`, `profile` and
# `directory` (of that profile) set.

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
installed=$root/interop/js/node_modules/.package-lock.json
if [[ ! -f $installed || $root/interop/js/package-lock.json -nt $installed ]]; then
    npm --prefix "$root/interop/js" ci --silent --no-audit --no-fund
fi

cargo build --quiet --profile "$profile" --manifest-path "$root/Cargo.toml" -p wirebird-interop --bin fault_server
target=$(cargo metadata --manifest-path "$root/Cargo.toml" --format-version 1 --no-deps |
    node -p 'JSON.parse(require("fs").readFileSync(0, "utf8")).target_directory')
export FAULT_SERVER=$target/$directory/fault_server
