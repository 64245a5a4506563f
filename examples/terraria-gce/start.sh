#!/bin/sh
# Starts the VM and returns when it runs. Dormouse then waits until the game takes connections.
set -eu
cd "$(dirname "$0")"
. ./vm.sh

# Only a stopped VM can be started. One that stops, because somebody else stopped it, is waited for;
# Dormouse ends this script after start_timeout.
while true; do
  status=$(vm_status)
  case "$status" in
    RUNNING)
      echo "the VM $VM runs"
      exit 0
      ;;
    PROVISIONING | STAGING)
      echo "the VM $VM is being started"
      exit 0
      ;;
    TERMINATED)
      exec gcloud compute instances start "$VM" --zone="$ZONE"
      ;;
    SUSPENDED)
      exec gcloud compute instances resume "$VM" --zone="$ZONE"
      ;;
    *)
      echo "the VM $VM is $status; waiting"
      sleep 5
      ;;
  esac
done
