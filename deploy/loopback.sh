#!/bin/sh
# Usage: deploy/loopback.sh CONFIG.toml FOLDER
# Prepare CONFIG's federation in FOLDER/release.run and run it on a SuperLink with one SuperNode a site, on loopback.
set -eu
config=$1
mkdir -p "$2"
folder=$(cd "$2" && pwd)
here=$(cd "$(dirname "$0")/.." && pwd)
run_folder=$folder/release.run
port=18000
export FLWR_TELEMETRY_ENABLED=0 FLWR_DISABLE_UPDATE_CHECK=1 OMP_NUM_THREADS=1
export FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION=1

fedcgan simulate "$config" --out "$folder/release" --prepare-only

export FLWR_HOME="$folder/superlink"
mkdir -p "$FLWR_HOME"
printf '[superlink]\ndefault = "loopback"\n[superlink.loopback]\naddress = "127.0.0.1:%s"\ninsecure = true\n' \
    "$port" > "$FLWR_HOME/config.toml"

pids=""
trap 'kill $pids 2>/dev/null || true' EXIT INT TERM
flower-superlink --insecure --host 127.0.0.1 --port "$port" --disable-runtime-dependency-installation \
    > "$folder/superlink.log" 2>&1 &
pids="$pids $!"
sleep 5
number=0
for site in "$run_folder"/sites/*; do
    name=$(basename "$site")
    FLWR_HOME="$folder/node-$name" flower-supernode --insecure --superlink "127.0.0.1:$port" \
        --host 127.0.0.1 --port "$((19094 + number))" --node-config "state-path=\"$site\"" \
        > "$folder/node-$name.log" 2>&1 &
    pids="$pids $!"
    number=$((number + 1))
done

run=$(cd "$here" && flwr run . loopback -c "run-dir=\"$run_folder\"" --format json |
    python -c 'import json, sys; print(json.load(sys.stdin)["run-id"])')
while :; do
    status=$(flwr list --run-id "$run" --format json loopback |
        python -c 'import json, sys; print(json.load(sys.stdin)["runs"][0]["status"])')
    echo "$(date +%T) $status"
    case "$status" in finished*) break ;; esac
    sleep 10
done
[ "$status" = "finished:completed" ] || exit 1
fedcgan simulate "$config" --out "$folder/release" --resume    # nothing is left to do but the release and its report
