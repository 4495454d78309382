#!/bin/sh
# Print every alert, one JSON document a line, each until it is acknowledged:
#   ./follow.sh [redis://127.0.0.1:6379/0]
set -eu
stream=maskwatch:alerts group=example-shell name=$(hostname)

redis() { redis-cli -e -u "$url" --raw "$@"; }
url=${1:-redis://127.0.0.1:6379/0}

join() {  # the group may be there already
  redis XGROUP CREATE "$stream" "$group" '$' MKSTREAM >/dev/null 2>&1 || true
}

join
from=0  # first what an earlier life was given and did not finish, then (>) what is new
while :; do
  # six lines an entry: stream, id, "type", the type, "event", the document
  entry=$(redis XREADGROUP GROUP "$group" "$name" COUNT 1 BLOCK 1000 STREAMS "$stream" "$from") || {
    sleep 1
    join
    continue
  }
  id=$(printf '%s\n' "$entry" | sed -n 2p)
  if [ -z "$id" ]; then
    from='>'
    continue
  fi
  document=$(printf '%s\n' "$entry" | sed -n 6p)
  if [ -n "$document" ]; then
    printf '%s\n' "$document"
  else
    echo "entry $id was trimmed before it was done with" >&2
  fi
  redis XACK "$stream" "$group" "$id" >/dev/null
done
