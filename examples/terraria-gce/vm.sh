# Which VM it is: read by start.sh and stop.sh. Settings come from the environment of Dormouse.

VM="${TERRARIA_VM:-terraria}"
ZONE="${TERRARIA_ZONE:-europe-west1-b}"

# `gcloud` must never ask anything: nobody is there to answer.
export CLOUDSDK_CORE_DISABLE_PROMPTS=1

# RUNNING, TERMINATED (which is stopped), or something in between.
vm_status() {
  gcloud compute instances describe "$VM" --zone="$ZONE" --format='value(status)'
}
