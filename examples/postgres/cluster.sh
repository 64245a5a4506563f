# Where the cluster is: read by all other scripts here. Settings come from the environment.

# The data: made by setup.sh.
PGDATA="${PGDATA:-$PWD/data}"
# The folder of the server's socket, which only its owner can enter.
SOCKETS="${SOCKETS:-$PWD/sockets}"
# setup.sh is run by a person, the others by Dormouse.
PGHOST="${DORMOUSE_TARGET_HOST:-127.0.0.1}"
PGPORT="${DORMOUSE_TARGET_PORT:-5442}"
export PGDATA PGHOST PGPORT

# Debian keeps the programs of the server outside of PATH, one folder a version.
if ! command -v pg_ctl >/dev/null; then
  for folder in /usr/lib/postgresql/*/bin; do
    PATH="$folder:$PATH"
  done
fi
