#!/bin/sh
# Exit status 0: it may be stopped. Anything else: ask again in a minute.
#
# Dormouse counts the clients that come through it. A backup or a psql on the socket does not, so
# the database is asked who else is there.
set -eu
cd "$(dirname "$0")"
. ./cluster.sh

others=$(psql --host="$SOCKETS" --username=postgres --dbname=postgres --no-password \
  --tuples-only --no-align --command="
    select count(*) from pg_stat_activity
    where backend_type in ('client backend', 'walsender') and pid <> pg_backend_pid()")
if [ "$others" -gt 0 ]; then
  echo "$others sessions beside those of Dormouse's clients"
  exit 1
fi
