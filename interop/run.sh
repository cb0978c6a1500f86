#!/usr/bin/env bash
# Real clients against the interop server: JavaScript and Python, direct and through nginx and HAProxy,
# and a real browser on the demo page.
#
#   interop/run.sh              everything
#   interop/run.sh js python    only the suites whose names begin so (see `suites` below)
#
# Quiet when all is well; what failed is printed in full, with the log of its server.
#
#   INTEROP_SERVER_CMD  another server; its first line on stdout must end in its http:// address
#   DEMO_SERVER_CMD     another server of the demo page, likewise
#   WIREBIRD_REFERENCE=node  that server is Node's: leave out what it is known to do wrong
#   WIREBIRD_MODES, WIREBIRD_CLIENTS  see js/harness.js
#   WIREBIRD_PARSER=msgpack  set for the suites whose clients and server speak MessagePack
#   WIREBIRD_SHOTS      folder for the browser's screenshots (default: target/interop/shots)
#   INTEROP_JOBS        suites at a time (default: half of the processors, 2 to 4)
#   INTEROP_VERBOSE=1   a line for each suite
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(dirname "$here")
state=$root/target/interop
work=$(mktemp -d)
chmod 755 "$work" # nginx's workers run as another user
selected=("$@")

# Every suite has a server of its own, so that they can run side by side. Name, whether through
# a proxy, and the command; the suites below `alone` measure under load and run one after the other.
suites() {
    suite js-events direct js connect events rooms
    suite js-lifecycle direct js lifecycle wire
    suite js-msgpack-events msgpack js connect events rooms
    suite js-msgpack-lifecycle msgpack js lifecycle msgpack
    suite nginx-events nginx js connect events rooms
    suite nginx-lifecycle nginx js lifecycle wire ../../proxies/nginx
    suite nginx-sticky two-nginx js ../../proxies/sticky
    suite nginx-cookie two-nginx-cookie js ../../proxies/sticky
    suite nginx-spread two-nginx-spread js ../../proxies/spread
    suite nginx-failover two-nginx js ../../proxies/failover
    suite haproxy-sticky two-haproxy js ../../proxies/sticky
    suite haproxy-cookie two-haproxy-cookie js ../../proxies/sticky
    suite haproxy-spread two-haproxy-spread js ../../proxies/spread
    suite haproxy-failover two-haproxy js ../../proxies/failover
    suite units direct units
    suite js-deflate direct js deflate events
    suite js-takeover direct js deflate events
    suite nginx-deflate nginx js deflate
    suite python-deflate direct python latest test_deflate.py
    suite python-takeover direct python latest test_deflate.py
    suite python-latest direct python latest
    suite python-5.12 direct python 5.12
    suite python-msgpack msgpack python latest
    suite python-5.12-msgpack msgpack python 5.12
    suite browser demo browser demo
    suite webtransport webtransport browser webtransport
    suite messenger messenger browser messenger
    suite recovery recovery recovery
    suite draining own draining
    suite old-clients old js ../old/old
    suite old-jsonp old browser jsonp
    suite old-python old old_python
    alone
    suite js-load direct js load
    suite nginx-load nginx js load
}

wanted() {
    local name
    [[ ${#selected[@]} -eq 0 ]] && return 0
    for name in "${selected[@]}"; do [[ $1 == "$name"* ]] && return 0; done
    return 1
}

wanted_any() {
    local suite
    for suite in "$@"; do
        if wanted "$suite"; then return 0; fi
    done
    return 1
}

# ---------------------------------------------------------------- what has to be there

as_root() {
    if [[ $(id -u) -eq 0 ]]; then "$@"; else sudo "$@"; fi
}

# quietly WHAT COMMAND...: shows the command's output only if it fails.
quietly() {
    local what=$1
    shift
    if ! "$@" >"$work/quietly.log" 2>&1; then
        cat "$work/quietly.log" >&2
        echo "interop: $what failed" >&2
        exit 1
    fi
}

system_packages() {
    local missing=()
    node -e 'process.exit(parseInt(process.versions.node) >= 18 ? 0 : 1)' 2>/dev/null || missing+=(nodejs npm)
    command -v npm >/dev/null || [[ " ${missing[*]-} " == *" npm "* ]] || missing+=(npm)
    if wanted python-latest || wanted python-msgpack || wanted python-5.12 || wanted python-5.12-msgpack ||
        wanted python-deflate || wanted python-takeover || wanted old-python || wanted draining; then
        python3 -c 'import ensurepip, venv' 2>/dev/null || missing+=(python3 python3-venv)
    fi
    if wanted_any nginx-{events,lifecycle,sticky,cookie,spread,failover,deflate,load}; then
        PATH=$PATH:/usr/sbin command -v nginx >/dev/null || missing+=(nginx)
    fi
    if wanted_any haproxy-{sticky,cookie,spread,failover}; then
        PATH=$PATH:/usr/sbin command -v haproxy >/dev/null || missing+=(haproxy)
    fi
    if wanted units; then command -v systemd-analyze >/dev/null || missing+=(systemd); fi
    if { wanted browser || wanted webtransport || wanted messenger || wanted old-jsonp; } && [[ -z ${CHROMIUM:-} && ! -x /usr/bin/chromium ]]; then missing+=(chromium); fi
    if [[ ${#missing[@]} -gt 0 ]]; then
        quietly "apt-get update" as_root apt-get update
        quietly "installing ${missing[*]}" as_root env DEBIAN_FRONTEND=noninteractive \
            apt-get install -y --no-install-recommends "${missing[@]}"
    fi
}

js_packages() {
    local installed=$here/js/node_modules/.package-lock.json
    [[ -f $installed && ! $here/js/package-lock.json -nt $installed ]] && return
    quietly "npm ci" npm --prefix "$here/js" ci --no-audit --no-fund
}

old_packages() {
    local installed=$here/js/old/node_modules/.package-lock.json
    [[ -f $installed && ! $here/js/old/package-lock.json -nt $installed ]] && return
    quietly "npm ci" npm --prefix "$here/js/old" ci --no-audit --no-fund
}

python_packages() { # VERSION REQUIREMENTS
    local venv=$state/python-$1 requirements=$here/python/$2
    cmp -s "$requirements" "$venv/requirements.txt" && return
    rm -rf "$venv"
    quietly "python3 -m venv" python3 -m venv "$venv"
    quietly "pip install" "$venv/bin/pip" install --disable-pip-version-check -r "$requirements"
    cp "$requirements" "$venv/requirements.txt"
}

server_command() {
    if [[ -n ${INTEROP_SERVER_CMD:-} ]]; then
        interop_server=$INTEROP_SERVER_CMD
    else
        interop_server="cargo run -q --manifest-path '$root/Cargo.toml' -p wirebird-interop --bin interop_server -- --port 0"
        quietly "building the interop server" \
            cargo build -q --manifest-path "$root/Cargo.toml" -p wirebird-interop --bin interop_server
    fi
}

demo_command() {
    if [[ -n ${DEMO_SERVER_CMD:-} ]]; then
        demo_server=$DEMO_SERVER_CMD
    else
        demo_server="cargo run -q --manifest-path '$root/Cargo.toml' -p wirebird-cli --bin wirebird -- demo --port 0"
        quietly "building the demo server" cargo build -q --manifest-path "$root/Cargo.toml" -p wirebird-cli --bin wirebird
    fi
}

webtransport_command() {
    webtransport_server="cargo run -q --manifest-path '$root/Cargo.toml' -p wirebird-webtransport --example webtransport -- 127.0.0.1:0"
    quietly "building the WebTransport example" \
        cargo build -q --manifest-path "$root/Cargo.toml" -p wirebird-webtransport --example webtransport
}

messenger_command() {
    messenger_server="cargo run -q --manifest-path '$root/Cargo.toml' -p wirebird-examples --bin messenger -- 127.0.0.1:0"
    quietly "building the messenger" \
        cargo build -q --manifest-path "$root/Cargo.toml" -p wirebird-examples --bin messenger
}

recovery_command() {
    recovery_server="cargo run -q --manifest-path '$root/Cargo.toml' -p wirebird-examples --bin recovery -- 127.0.0.1:0"
    quietly "building the recovery example" \
        cargo build -q --manifest-path "$root/Cargo.toml" -p wirebird-examples --bin recovery
}

draining_command() {
    draining_server="cargo run -q --manifest-path '$root/Cargo.toml' -p wirebird-examples --bin draining --"
    quietly "building the draining example" \
        cargo build -q --manifest-path "$root/Cargo.toml" -p wirebird-examples --bin draining
}

# ---------------------------------------------------------------- processes of one suite

# Everything below runs in the suite's own subshell, which ends what it has started.
children=()

end_children() {
    local pid i
    for ((i = ${#children[@]} - 1; i >= 0; i--)); do
        pid=${children[i]}
        kill "$pid" 2>/dev/null || continue
        # Ten seconds to leave in good order.
        for _ in $(seq 200); do
            kill -0 "$pid" 2>/dev/null || continue 2
            sleep 0.05
        done
        kill -9 "$pid" 2>/dev/null || true
    done
}

# start LOG COMMAND: starts a server, sets `pid`, and `address` to what it prints.
start() {
    local log=$1 command=$2
    : >"$log.out" # it must be there before the shell in the background gets to it
    bash -c "exec $command" >>"$log.out" 2>"$log.err" &
    pid=$!
    children+=("$pid")
    for _ in $(seq 600); do
        address=$(sed -n '1s|.*\(http://[^ /]*\).*|\1|p' "$log.out")
        [[ -n $address ]] && return
        kill -0 "$pid" 2>/dev/null || break
        sleep 0.05
    done
    echo "the server did not start: $command"
    return 1
}

free_port() {
    node -e 'const s = require("net").createServer().listen(0, "127.0.0.1", () => { console.log(s.address().port); s.close(); })'
}

# adapted FILE OUT SED-SCRIPT: a file of docs/deploy for this machine. What is replaced must have been there.
adapted() {
    sed -E "$3" "$root/docs/deploy/$1" >"$2"
    if grep -nE '/srv/chat|/usr/local/bin|:(80|5001|5002)\b|listen 80;' "$2" | grep -v '^[0-9]*: *#'; then
        echo "docs/deploy/$1 has changed: adapt interop/run.sh"
        return 1
    fi
}

# start_proxy NAME COMMAND...: waits until it listens on $port, and sets `address`.
start_proxy() {
    local name=$1
    shift
    PATH=$PATH:/usr/sbin "$@" >"$name.out" 2>"$name.err" &
    children+=($!)
    address=http://127.0.0.1:$port
    for _ in $(seq 200); do
        if (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then return; fi
        sleep 0.05
    done
    echo "$1 did not start"
    return 1
}

# start_nginx DIRECTORY SED-SCRIPT BACKEND [BACKEND]: docs/deploy/nginx.conf, changed by the script.
start_nginx() {
    local prefix=$1 script=$2 one=${3#http://} two=${4-}
    mkdir -p "$prefix/static"
    echo hello >"$prefix/static/hello.txt"
    echo "top secret" >"$prefix/secret.txt"
    port=$(free_port)
    script+="; s|listen 80;|listen 127.0.0.1:$port;|; s|/srv/chat|$prefix|; s|127.0.0.1:5001|$one|"
    if [[ -n $two ]]; then script+="; s|127.0.0.1:5002|${two#http://}|"; else script+='; /127.0.0.1:5002/d'; fi
    adapted nginx.conf "$prefix/site.conf" "$script"
    sed "s|@PREFIX@|$prefix|g" "$here/proxies/nginx-main.conf" >"$prefix/nginx.conf"
    local command=(nginx -p "$prefix" -e stderr -c "$prefix/nginx.conf")
    PATH=$PATH:/usr/sbin "${command[@]}" -t -q
    start_proxy "$prefix/nginx" "${command[@]}"
}

# start_haproxy DIRECTORY SED-SCRIPT BACKEND BACKEND: docs/deploy/haproxy.cfg, changed by the script.
start_haproxy() {
    local prefix=$1
    port=$(free_port)
    PATH=$PATH:/usr/sbin haproxy -c -f "$root/docs/deploy/haproxy.cfg"
    # As many connections as any machine allows.
    adapted haproxy.cfg "$prefix/haproxy.cfg" \
        "$2; s|maxconn 50000|maxconn 300|; s|bind \*:80$|bind 127.0.0.1:$port|; s|127.0.0.1:5001|${3#http://}|; s|127.0.0.1:5002|${4#http://}|"
    start_proxy "$prefix/haproxy" haproxy -db -f "$prefix/haproxy.cfg"
}

# start_two DIRECTORY WAY: two servers, `a` and `b`, and the proxy in front of them; sets `address`.
start_two() {
    # An address of their own: nobody's outgoing connection takes the port of one that is started again.
    local one two command="$interop_server --host 127.0.0.2 --record $1/record"
    start "$1/server" "$command --behind-proxy a"
    one=$address server=$pid
    start "$1/server-b" "$command --behind-proxy b"
    two=$address
    export WIREBIRD_SERVER_COMMAND=$command WIREBIRD_RECORD=$1/record
    export WIREBIRD_SERVERS="a $one $server"$'\n'"b $two $pid"
    # Other ways that the files have as comments.
    local uncomment='s|# (hash [$]chat_route.*)|\1|; s|# (add_header Set-Cookie.*)|\1|'
    case $2 in
    two-nginx) start_nginx "$1" '' "$one" "$two" ;;
    two-nginx-cookie) start_nginx "$1" "/ip_hash;/d; $uncomment" "$one" "$two" ;;
    two-nginx-spread) start_nginx "$1" '/ip_hash;/d; s|# (least_conn;)|\1|' "$one" "$two" ;;
    two-haproxy) start_haproxy "$1" '' "$one" "$two" ;;
    two-haproxy-cookie) start_haproxy "$1" '/cookie SERVER/d; s|# (cookie io)|\1|' "$one" "$two" ;;
    two-haproxy-spread) start_haproxy "$1" '/cookie SERVER/d' "$one" "$two" ;;
    esac
}

# run COMMAND...: in the background, because bash handles no signal while it waits for the foreground.
run() {
    "$@" &
    children+=($!)
    wait $!
}

js() {
    local name files=()
    for name in "$@"; do
        if [[ $name == */* ]]; then files+=("$name.test.mjs"); else files+=("$name.test.js"); fi
    done
    cd "$here/js/test"
    WIREBIRD_URL=$address run node --test --test-reporter=spec "${files[@]}"
}

python() {
    cd "$here/python"
    WIREBIRD_URL=$address PYTHONDONTWRITEBYTECODE=1 run "$state/python-$1/bin/python" -m pytest "${@:2}"
}

# The units of docs/deploy, alone, together, and as several.
units() {
    local folder=$work/units here="s|/usr/local/bin/chat|/bin/true|; s|127.0.0.1:5001|127.0.0.1:5000|"
    adapted chat.service "$folder/chat.service" "$here"
    systemd-analyze verify "$folder/chat.service"
    adapted chat.service "$folder/chat@.service" "$here; s|5000|%i|"
    systemd-analyze verify "$folder/chat@5000.service"
    adapted chat.service "$folder/chat.service" "$here; s|# (Requires=)|\1|"
    adapted chat.socket "$folder/chat.socket" "$here"
    systemd-analyze verify "$folder/chat.service" "$folder/chat.socket"
}

old_python() {
    cd "$here/python/old"
    WIREBIRD_URL=$address PYTHONDONTWRITEBYTECODE=1 run "$state/python-4.6/bin/python" -m pytest
}

browser() {
    cd "$here/browser"
    WIREBIRD_URL=$address WIREBIRD_DEMO_URL=$address/ WIREBIRD_SHOTS=${WIREBIRD_SHOTS:-$state/shots} \
        run node --test --test-reporter=spec "$1.test.mjs"
}

recovery() {
    cd "$here/recovery"
    WIREBIRD_DEMO_URL=$address run node --test --test-reporter=spec recovery.test.mjs
}

# It starts and stops its servers itself.
draining() {
    cd "$here/draining"
    WIREBIRD_DRAINING_COMMAND=$draining_server WIREBIRD_PYTHON=$state/python-latest/bin/python PYTHONDONTWRITEBYTECODE=1 \
        run node --test --test-reporter=spec draining.test.mjs
}

# ---------------------------------------------------------------- the suites

# name -> pid of its subshell
declare -A running=()
failed=()
passed=0
jobs=${INTEROP_JOBS:-$(nproc)}
[[ -n ${INTEROP_JOBS:-} ]] || jobs=$((jobs / 2 < 2 ? 2 : jobs / 2 > 4 ? 4 : jobs / 2))

suite() { # NAME direct|nginx|two-nginx…|two-haproxy…|msgpack|old|demo|webtransport|messenger|recovery|own COMMAND...
    local name=$1 way=$2
    shift 2
    wanted "$name" || return 0
    reap "$jobs"
    mkdir -p "$work/$name"
    (
        trap end_children EXIT
        trap 'exit 143' TERM INT
        began=$SECONDS
        # Under load a pong may well take its time.
        case $name in *-load) export INTEROP_PING_TIMEOUT_MS=20000 ;; esac
        case $name in
        *-deflate) export INTEROP_DEFLATE=alone ;;
        *-takeover) export INTEROP_DEFLATE=takeover ;;
        esac
        case $way in
        demo) start "$work/$name/server" "$demo_server" ;;
        msgpack)
            export WIREBIRD_PARSER=msgpack
            start "$work/$name/server" "$interop_server --parser msgpack"
            ;;
        old) start "$work/$name/server" "$interop_server --old" ;;
        two-*) start_two "$work/$name" "$way" ;;
        webtransport) start "$work/$name/server" "$webtransport_server" ;;
        messenger) start "$work/$name/server" "$messenger_server" ;;
        recovery) start "$work/$name/server" "$recovery_server" ;;
        own) ;;
        *) start "$work/$name/server" "$interop_server" ;;
        esac
        [[ $way == two-* || $way == own ]] || server=$pid
        [[ $way != nginx ]] || start_nginx "$work/$name" '' "$address"
        "$@"
        # A server that did not survive its tests is a failure, too.
        [[ $name == *-failover || $way == own ]] || kill -0 "$server" || { echo "the server has ended"; exit 1; }
        echo $((SECONDS - began)) >"$work/$name/seconds"
    ) >"$work/$name/log" 2>&1 &
    running[$name]=$!
}

# reap N: waits until fewer than N suites run.
reap() {
    local name
    while [[ ${#running[@]} -ge $1 && ${#running[@]} -gt 0 ]]; do
        wait -n || true
        for name in "${!running[@]}"; do
            kill -0 "${running[$name]}" 2>/dev/null && continue
            if wait "${running[$name]}"; then
                passed=$((passed + 1))
                [[ -z ${INTEROP_VERBOSE:-} ]] || echo "ok $name ($(<"$work/$name/seconds") s)"
            else
                failed+=("$name")
                report "$name"
            fi
            unset "running[$name]"
        done
    done
}

alone() {
    reap 1
    jobs=1
}

report() {
    local file
    echo "==== $1 failed ===="
    cat "$work/$1/log"
    for file in server.err server-b.err nginx.err haproxy.err; do
        [[ -s $work/$1/$file ]] || continue
        echo "---- $1: the last lines of $file"
        tail -n 100 "$work/$1/$file"
    done
}

finish() {
    local pid
    trap - EXIT
    for pid in "${running[@]}"; do kill "$pid" 2>/dev/null || true; done
    for pid in "${running[@]}"; do wait "$pid" 2>/dev/null || true; done
    rm -rf "$work"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

mkdir -p "$state"
system_packages
js_packages
if wanted old-clients || wanted old-jsonp; then old_packages; fi
if wanted_any python-{latest,msgpack,deflate,takeover} draining; then
    python_packages latest requirements.txt
fi
if wanted python-5.12 || wanted python-5.12-msgpack; then python_packages 5.12 requirements-5.12.txt; fi
if wanted old-python; then python_packages 4.6 requirements-4.6.txt; fi
if wanted browser; then demo_command; fi
if wanted webtransport; then webtransport_command; fi
if wanted messenger; then messenger_command; fi
if wanted recovery; then recovery_command; fi
if wanted draining; then draining_command; fi
if [[ ${#selected[@]} -eq 0 || ${selected[*]} != browser ]]; then server_command; fi

SECONDS=0
suites
reap 1

if [[ ${#failed[@]} -gt 0 ]]; then
    echo "interop: failed: ${failed[*]}; passed: $passed" >&2
    exit 1
fi
if [[ $passed -eq 0 ]]; then
    echo "interop: no suite is called ${selected[*]}" >&2
    exit 2
fi
echo "interop: $passed suites passed in $SECONDS s"
