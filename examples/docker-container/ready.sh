#!/bin/sh
# Exit status 0: the container is ready for clients. Anything else: not yet; the last line that is
# printed says how far it is.
#
# usage: ready.sh CONTAINER
set -eu

# What the container's own health check says (nothing if it has none), and whether the container runs.
status=$(docker inspect --format '{{with .State.Health}}{{.Status}}{{end}}/{{.State.Status}}' "$1")

case "$status" in
  healthy/running | /running) exit 0 ;;
  *) echo "the container is $status"; exit 1 ;;
esac
