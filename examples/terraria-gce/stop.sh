#!/bin/sh
# Stops the VM and returns when it is down. The VM's own systemd ends the game before that: see
# terraria.service.
set -eu
cd "$(dirname "$0")"
. ./vm.sh

exec gcloud compute instances stop "$VM" --zone="$ZONE"
