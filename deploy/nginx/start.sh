#!/bin/sh
# The edge in a container of its own: fill in server/edge.conf.template, run nginx in the foreground.
#   EDGE_LISTEN       where sites connect to (default 0.0.0.0:18443)
#   EDGE_LINK_PORT    of the SuperLink on 127.0.0.1 of the same network namespace (default 18000)
#   EDGE_CERTIFICATE, EDGE_KEY, EDGE_CA    PEM files (default /edge/tls/server.crt, server.key, ca.crt)
#   EDGE_FOLDER       writable: process id, temporary files (default /run/edge);  EDGE_LOG (default /dev/stderr)
#   EDGE_TEMPLATE     (default /edge/edge.conf.template)
set -eu
umask 077
export EDGE_LISTEN="${EDGE_LISTEN:-0.0.0.0:18443}" EDGE_LINK_PORT="${EDGE_LINK_PORT:-18000}"
export EDGE_CERTIFICATE="${EDGE_CERTIFICATE:-/edge/tls/server.crt}" EDGE_KEY="${EDGE_KEY:-/edge/tls/server.key}"
export EDGE_CA="${EDGE_CA:-/edge/tls/ca.crt}" EDGE_FOLDER="${EDGE_FOLDER:-/run/edge}"
export EDGE_LOG="${EDGE_LOG:-/dev/stderr}"
template="${EDGE_TEMPLATE:-/edge/edge.conf.template}"
# These values come from whoever deploys; a quote or semicolon in them is a mistake, not a configuration.
case "$EDGE_LISTEN$EDGE_LINK_PORT$EDGE_CERTIFICATE$EDGE_KEY$EDGE_CA$EDGE_FOLDER$EDGE_LOG" in
*[!A-Za-z0-9./_:\[\]@+-]*)
    echo "start.sh: an EDGE_ value holds a character that nginx would read as its own" >&2
    exit 2
    ;;
esac
config="$EDGE_FOLDER/edge.conf"
envsubst '$EDGE_LISTEN $EDGE_LINK_PORT $EDGE_CERTIFICATE $EDGE_KEY $EDGE_CA $EDGE_FOLDER $EDGE_LOG' \
    < "$template" > "$config"
exec nginx -p "$EDGE_FOLDER/" -c "$config" -e "$EDGE_LOG" -g 'daemon off;'
