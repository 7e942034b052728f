#!/bin/sh
# Usage: deploy/loopback.sh FOLDER
# A whole federation on this machine, to try it: a coordinator and three sites, by the commands of docs/federation.md,
# over TLS on loopback; through nginx where there is one. Made-up records, or yours:
#   RECORDS=people.csv SCHEMA=people.toml RUN=study.toml EPSILON_CAP=5 deploy/loopback.sh FOLDER
# RECORDS is CSV or Parquet and is dealt to the three sites, a subject's rows to one of them; RUN is the file that
# `fedcgan plan new` takes. One user plays everybody here: this shows how it works and protects nobody.
set -eu
case "${1:-}" in
"" | -*)
    sed -n '2,8s/^# \{0,1\}//p' "$0" >&2
    exit 2
    ;;
esac
program=$(command -v fedcgan) || {
    echo "loopback.sh: fedcgan is not on the path; . .venv/bin/activate" >&2
    exit 2
}
python=$(dirname "$(realpath "$program")")/python  # a link to fedcgan has none beside it
if [ -n "${RECORDS:-}" ]; then
    RECORDS=$(realpath "$RECORDS")
    SCHEMA=$(realpath "${SCHEMA:?RECORDS needs SCHEMA}")
    RUN=$(realpath "${RUN:?RECORDS needs RUN}")
fi
mkdir -p "$1"
cd "$1"
if [ -n "$(ls -A)" ]; then
    echo "loopback.sh: $1 is not empty" >&2
    exit 2
fi
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}"
sites="site-1 site-2 site-3"
pids=""

stop_all() {
    trap - EXIT INT TERM
    for pid in $pids; do kill "$pid" 2>/dev/null || true; done
    for pid in $pids; do wait "$pid" 2>/dev/null || true; done
}
trap stop_all EXIT
trap 'exit 130' INT TERM

show() {
    echo
    line='$'
    for word in "$@"; do
        case $word in *" "*) line="$line '$word'" ;; *) line="$line $word" ;; esac
    done
    echo "$line"
    "$@"
}

# wait_until SECONDS WHAT COMMAND...
wait_until() {
    left=$1 what=$2
    shift 2
    until "$@"; do
        left=$((left - 1))
        if [ "$left" -le 0 ]; then
            echo "loopback.sh: $what did not happen; see the logs in $PWD" >&2
            exit 1
        fi
        sleep 1
    done
}

if [ -n "${RECORDS:-}" ]; then
    cp "$SCHEMA" schema.toml
    cp "$RUN" run.toml
else
    cat > schema.toml <<'TOML'
name = "loopback"
subject = "patient"

[[columns]]
name = "age"
kind = "number"
unit = "years"
bounds = [0, 100]
decimals = 0
cuts = [20, 40, 60, 80]

[[columns]]
name = "smoker"
kind = "category"
categories = ["no", "yes"]

[[columns]]
name = "outcome"
kind = "category"
categories = ["well", "ill"]
condition = true
TOML
    cat > run.toml <<'TOML'
name = "loopback"

[federation]
threshold = 2

[privacy]
epsilon = 3.0
delta = 1e-5

[training]
records_per_site = 100
fit_steps = 100
TOML
fi

"$python" - "${RECORDS:-}" <<'PYTHON'
"""Three files of records: the given ones, dealt, or made-up ones."""

import sys
import tomllib
from pathlib import Path

import numpy as np
import pandas as pd

path = sys.argv[1]
subject = tomllib.loads(Path("schema.toml").read_text("utf-8")).get("subject")
if path:
    # text, so that nothing is guessed about what a column holds
    read = pd.read_parquet if path.endswith(".parquet") else lambda file: pd.read_csv(file, dtype=str)
    people = read(path)
else:
    random = np.random.default_rng(0)
    patients = np.repeat(np.arange(900), 2)
    age = random.integers(0, 101, len(patients))
    ill = random.random(len(patients)) < age / 120
    smokes = random.random(len(patients)) < 0.2 + 0.3 * ill
    people = pd.DataFrame({"patient": patients, "age": age, "smoker": np.where(smokes, "yes", "no")})
    people["outcome"] = np.where(ill, "ill", "well")
unit = people[subject] if subject else pd.Series(np.arange(len(people)), index=people.index)
to = pd.factorize(unit)[0] % 3
for number in range(3):
    part = people[to == number]
    if path.endswith(".parquet"):
        part.to_parquet(f"records-{number + 1}.parquet")
    else:
        part.to_csv(f"records-{number + 1}.csv", index=False)
PYTHON

ports=$("$python" -c 'import socket
both = [socket.socket() for _ in range(2)]
for one in both: one.bind(("127.0.0.1", 0))
print(*(one.getsockname()[1] for one in both))')
address=localhost:${ports% *}
if PATH="$PATH:/usr/sbin" command -v nginx > /dev/null; then
    edge="nginx --link-port ${ports#* }"
else
    edge=none
fi

# shellcheck disable=SC2086
show fedcgan federation init federation --name loopback --address "$address" --schema schema.toml --edge $edge
for site in $sites; do
    show fedcgan federation invite "$site" --federation federation
    records=$(ls records-"${site#site-}".*)
    show fedcgan site join "$site.kit.zip" --records "$records" --epsilon-cap "${EPSILON_CAP:-10}" --delta 1e-5 |
        tee join.txt
    # in earnest a person reads this over the telephone
    fingerprint=$(sed -n 's/^fingerprint *//p' join.txt)
    show fedcgan federation admit "$site.reply.json" --federation federation --fingerprint "$fingerprint"
done

echo
echo "\$ fedcgan federation start --federation federation --no-rehearse &"
"$program" federation start --federation federation --no-rehearse > coordinator.log 2>&1 &
pids="$pids $!"
for site in $sites; do
    echo "\$ fedcgan site start $site --same-user &"
    "$program" site start "$site" --same-user > "$site.log" 2>&1 &
    pids="$pids $!"
done
connected() { [ "$(grep -c 'may connect' coordinator.log)" = 3 ]; }
wait_until 180 "letting the sites in" connected

show fedcgan plan new run.toml --federation federation -o plan.json | tee plan.txt
plan=$(sed -n 's/^plan\.json: plan //p' plan.txt)
show fedcgan site check site-1 --plan plan.json
show fedcgan run plan.json --federation federation --detach
arrived() { fedcgan site plans "$site" | grep -q "$(echo "$plan" | cut -c 1-12)"; }
site=site-1
wait_until 120 "the proposal of the plan" arrived
show fedcgan site plans site-1 "$plan"
for site in $sites; do
    wait_until 120 "the proposal of the plan" arrived
    show fedcgan site approve "$site" "$plan"
done
show fedcgan watch --federation federation
show fedcgan site budget site-1 --verify
show fedcgan site outbox site-1
show fedcgan sample --n 5 --from "federation/runs/$plan/release"
echo
echo "Stopping everything. The release: $PWD/federation/runs/$plan/release"
