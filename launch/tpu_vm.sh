#!/usr/bin/env bash
# Trains on a Cloud TPU VM or pod slice from nothing: creates a queued resource, waits, installs, trains on all workers,
# follows the log, makes a preempted one again and goes on, deletes it at the end. The same command attaches to a live run.
#   export NAME=h2z ZONE=us-west4-a
#   TYPE=v5litepod-16 RUNTIME=v2-alpha-tpuv5-lite WORKDIR=gs://BUCKET/h2z launch/tpu_vm.sh --config=configs/horse2zebra.py
#   launch/tpu_vm.sh down
# Also CREATE=--spot, RETRIES=10, CACHE=WORKDIR/compiled and KEEP=1 (do not delete it): launch/README.md.
set -euo pipefail
here=$(dirname "$0")
# shellcheck source=launch/common.sh
source "$here/common.sh"
: "${NAME:?name of the TPU}" "${ZONE:?its zone, for example us-west4-a}"
if [[ ${1:-} == down ]]; then exec "$here/tpu_slice.sh" down; fi
: "${TYPE:?accelerator type, for example v5litepod-16}" "${RUNTIME:?TPU software version}" "${WORKDIR:?gs://BUCKET/FOLDER}"
WORKDIR=${WORKDIR%/} poll=30 tries=0 made='' hint=''
detached='DEVICE=tpu bash ugatit_jax/launch/detached.sh'
arguments=$(printf '%q ' "$WORKDIR" "--compilation_cache=${CACHE:-$WORKDIR/compiled}" "$@")
check_project
check_tpu_type "$ZONE" "$TYPE"
check_bucket "$WORKDIR" 'your account'
check_commit "$here"
archive=$(mktemp)
git -C "$here/.." archive --format=tar.gz --output="$archive" HEAD  # one version for all workers and all starts
trap 'rm -f "$archive"; if [[ -n $made && -z ${KEEP:-} ]]; then say "deleting $NAME"; "$here/tpu_slice.sh" down; fi' EXIT
trap 'KEEP=1; say "$NAME stays, billed; go on: the same command; stop: NAME=$NAME ZONE=$ZONE $0 down"; exit 130' INT TERM HUP

tpu() { gcloud compute tpus tpu-vm "$@" --zone="$ZONE" --quiet </dev/null; }
on() { tpu ssh "$NAME" --worker="$1" --command="$2"; }  # on WORKER COMMAND
look() { read -r slice < <("$here/tpu_slice.sh" state) || slice=UNKNOWN; }  # not $(): there bash sometimes loses a Ctrl-C
start() {  # puts the commit on all workers and starts it there
  hint='ssh-add ~/.ssh/google_compute_engine, a firewall rule for port 22, roles/compute.osLogin'
  on all 'mkdir -p ugatit_jax' && tpu scp "$archive" "$NAME:ugatit_jax.tar.gz" --worker=all || return 1
  hint='see above'
  on all "tar -xzf ugatit_jax.tar.gz -C ugatit_jax && $detached start $arguments"
}
again() {  # again WHY: counts a new start
  if ((++tries > ${RETRIES:-10})); then say "$1; given up after $((tries - 1)) new starts"; exit 75; fi
  say "$1; new start $tries"
  sleep "$poll"
}
while :; do
  made=1
  "$here/tpu_slice.sh" up
  status=none lines=+1
  if ((tries == 0)); then read -r status < <(on 0 "$detached status" 2>/dev/null) || status=none; fi
  if [[ $status != running ]] && ! start; then
    look; if [[ $slice == ACTIVE ]]; then die "no start on the workers of $NAME; hint: $hint"; fi
    again "$NAME was lost"
    continue
  fi
  while on 0 "$detached follow $lines" || true; do
    read -r status < <(on 0 "$detached status" 2>/dev/null) || status=lost
    if [[ $status == 0 ]]; then exit; fi
    sleep "$poll"  # a preemption takes a while to be seen
    look; case $slice in ACTIVE | UNKNOWN) ;; *) status=preempted ;; esac
    if [[ $status != running && $status != lost ]]; then break; fi
    lines=20
  done
  case $status in 1 | 2 | 130) exit "$status" ;; *) again "$NAME: ${status/#[0-9]*/exit code $status}" ;; esac
done
