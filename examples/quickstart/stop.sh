#!/bin/sh
# Stops the web server and returns when it is down.
set -eu
cd "$(dirname "$0")"

is_running() {
  [ -s server.pid ] && grep -q http.server "/proc/$(cat server.pid)/cmdline" 2>/dev/null
}

if is_running; then
  kill "$(cat server.pid)" || true
fi
tries=0
while is_running; do
  tries=$((tries + 1))
  if [ "$tries" -gt 100 ]; then
    echo "the server did not end within 10 seconds of SIGTERM" >&2
    exit 1
  fi
  sleep 0.1
done
rm -f server.pid
