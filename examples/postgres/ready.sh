#!/bin/sh
# Exit status 0: the database serves. Anything else: not yet.
set -eu
cd "$(dirname "$0")"
. ./cluster.sh

exec pg_isready --quiet --timeout=2
