#!/bin/sh
# Starts the cluster and returns. ready.sh says when it serves.
set -eu
cd "$(dirname "$0")"
. ./cluster.sh

if pg_ctl status >/dev/null; then
  echo "the cluster runs already"
  exit 0
fi
# --no-wait: Dormouse asks ready.sh, and says in its log how long it took.
pg_ctl start --no-wait --log="$PGDATA/server.log" \
  --options="-c listen_addresses='$PGHOST' -c port='$PGPORT' -c unix_socket_directories='$SOCKETS'"
