#!/bin/sh
# Starts the web server in the background and returns. Dormouse finds out itself when it is ready.
set -eu
cd "$(dirname "$0")"

is_running() {
  [ -s server.pid ] && grep -q http.server "/proc/$(cat server.pid)/cmdline" 2>/dev/null
}

if is_running; then
  echo "the server runs already"
  exit 0
fi

# In the background: what a start hook leaves behind when it returns is not touched, and Ctrl-C in
# the terminal of Dormouse does not reach it.
nohup python3 -m http.server "${DORMOUSE_TARGET_PORT:-8081}" \
  --bind "${DORMOUSE_TARGET_HOST:-127.0.0.1}" --directory site </dev/null >server.log 2>&1 &
echo $! >server.pid
echo "the server starts as process $!"
