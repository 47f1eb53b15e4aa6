#!/usr/bin/env bash
# The queued resource that is a Cloud TPU VM or pod slice, one node of the same name; launch/tpu_vm.sh trains on it.
#   export NAME=h2z ZONE=us-west4-a
#   TYPE=v5litepod-16 RUNTIME=v2-alpha-tpuv5-lite launch/tpu_slice.sh up    # creates it and waits until it is ACTIVE
#   launch/tpu_slice.sh state | down    # NONE, UNKNOWN (no answer) or what the queue says | deletes it
# CREATE='--spot' has further flags of `gcloud compute tpus queued-resources create`, one a word.
set -euo pipefail
# shellcheck source=launch/common.sh
source "$(dirname "$0")/common.sh"
: "${NAME:?name of the TPU}" "${ZONE:?its zone}"
CREATE=${CREATE---spot} poll=30  # seconds between two looks

queue() { gcloud compute tpus queued-resources "$@" --zone="$ZONE" --quiet; }

state() {
  local now node
  now=$(queue list --filter="name~/$NAME\$" --format='value(state.state)') || now=UNKNOWN
  if [[ $now == ACTIVE ]]; then  # a preempted node may be gone before the queue says so
    node=$(gcloud compute tpus tpu-vm list --zone="$ZONE" --filter="name~/$NAME\$" --format='value(state)') || node=READY
    if [[ $node =~ ^(PREEMPTED|TERMINATED|)$ ]]; then now=SUSPENDED; fi
  fi
  echo "${now:-NONE}"
}

down() {
  if [[ $(state) == NONE ]]; then say "$NAME is not there"; else quietly queue delete "$NAME" --force; fi
}

refused() {  # ends with the line that says why there is no slice
  case $1 in
    *[Qq]uota*) die "no $TYPE in $ZONE: $1; hint: another ZONE or TYPE, or console.cloud.google.com/iam-admin/quotas" ;;
    *PERMISSION_DENIED* | *permission*) die "no $TYPE in $ZONE: $1; hint: ask for roles/tpu.admin in the project" ;;
    *) die "no $TYPE in $ZONE: $1; hint: asked for were TYPE=$TYPE RUNTIME=$RUNTIME CREATE='$CREATE'" ;;
  esac
}

up() {
  local now before='' flags why
  read -ra flags <<<"$CREATE"
  while now=$(state) && [[ $now != ACTIVE ]]; do
    if [[ $now != "$before" ]]; then say "$NAME is $now"; fi
    before=$now
    case $now in
      NONE) quietly queue create "$NAME" --node-id="$NAME" --accelerator-type="$TYPE" --runtime-version="$RUNTIME" \
        ${flags[@]+"${flags[@]}"} || refused "$reason" ;;
      FAILED) why=$(queue describe "$NAME" --format='value(state.failedData.error.message)')
        down || say "$NAME was not deleted: $reason"
        refused "$why" ;;
      SUSPENDED) down || say "$NAME was not deleted: $reason" ;;  # a spot slice cannot be started again, only made again
    esac
    sleep "$poll"
  done
}

case ${1:-} in
  up) : "${TYPE:?accelerator type}" "${RUNTIME:?TPU software version}"; up ;;
  down) down || die "$NAME was not deleted and may be billed: $reason; hint: NAME=$NAME ZONE=$ZONE $0 down" ;;
  state) state ;;
  *) die "'${1:-}' is not up, down or state" ;;
esac
