#!/bin/sh
# Stops the cluster and returns when it is down.
set -eu
cd "$(dirname "$0")"
. ./cluster.sh

if ! pg_ctl status >/dev/null; then
  echo "the cluster is down already"
  exit 0
fi
# `fast` ends sessions that do not come through Dormouse, such as a psql on the socket. A bit less
# than stop_timeout, so that the failure is told by pg_ctl.
pg_ctl stop --mode=fast --wait --timeout=290
