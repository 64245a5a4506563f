#!/bin/sh
# Makes the cluster. To be run once, by the user that Dormouse runs as, who must not be root.
set -eu
cd "$(dirname "$0")"
. ./cluster.sh

mkdir -p "$SOCKETS"
chmod 700 "$SOCKETS"
# `trust` is for trying this out: it lets everybody on this machine in without a password.
initdb --auth="${AUTH:-trust}" --username=postgres --encoding=UTF8
