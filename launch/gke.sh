#!/usr/bin/env bash
# Trains on Google Kubernetes Engine: creates the JobSet of gke.yaml (a TPU slice) or gke_gpu.yaml (GPU nodes), follows its
# log; the cluster restarts it. The same command attaches to a live run, and makes one that has ended again.
#   export NAME=h2z WORKDIR=gs://BUCKET/h2z IMAGE=REGION-docker.pkg.dev/PROJECT/REPOSITORY/ugatit_jax:tpu
#   ACCELERATOR=tpu-v5-lite-podslice TOPOLOGY=4x4 HOSTS=4 CHIPS=4 launch/gke.sh --config=configs/horse2zebra.py
#   DEVICE=cuda ACCELERATOR=nvidia-l4 HOSTS=2 CHIPS=1 launch/gke.sh --config=configs/horse2zebra.py
#   launch/gke.sh down
# Also RETRIES=10, GRACE=600 (seconds to save in), SERVICE_ACCOUNT=default and CACHE=WORKDIR/compiled: launch/README.md.
set -euo pipefail
here=$(dirname "$0")
# shellcheck source=launch/common.sh
source "$here/common.sh"
: "${NAME:?name of the JobSet}"
if [[ ${1:-} == down ]]; then exec kubectl delete jobset "$NAME" --ignore-not-found; fi
manifest=$("$here/gke_manifest.sh" "$@")
nodes=cloud.google.com/gke-tpu-accelerator=$ACCELERATOR,cloud.google.com/gke-tpu-topology=${TOPOLOGY:-}
if [[ ${DEVICE:-tpu} == cuda ]]; then nodes=cloud.google.com/gke-accelerator=$ACCELERATOR; fi
pods=jobset.sigs.k8s.io/jobset-name=$NAME
first=batch.kubernetes.io/job-completion-index=0
poll=10 since=--tail=-1

command -v kubectl >/dev/null || die 'kubectl is not installed; hint: gcloud components install kubectl'
quietly kubectl config current-context ||
  die "no cluster: $reason; hint: gcloud container clusters get-credentials CLUSTER --location=REGION"
quietly kubectl get crd jobsets.jobset.x-k8s.io ||
  die "the cluster knows no JobSet: $reason; hint: jobset.sigs.k8s.io/docs/installation"
check_project
check_bucket "$WORKDIR" 'your account'
if [[ -z $(kubectl get nodes --selector="$nodes" --output=name) ]]; then
  say "no node has $nodes yet; hint: unless the cluster makes such nodes on demand, the pods wait for ever"
fi

state() {  # nothing where there is none; NAME/ while it runs; NAME/Completed, NAME/Failed
  kubectl get jobset "$NAME" --ignore-not-found --output='jsonpath={.metadata.name}/{.status.terminalState}'
}
look() { local found; if found=$(state); then echo "$found"; else echo "$NAME/"; fi; }  # no answer: as if it runs
create() { kubectl create --filename=- <<<"$manifest"; }
now=$(state)
if [[ $now != "$NAME/" ]]; then
  if [[ $now == */?* ]]; then quietly kubectl delete jobset "$NAME" || die "$NAME was not deleted: $reason"; fi
  quietly create || die "$NAME was not created: $reason; hint: kubectl describe quota"
fi
trap 'say "$NAME runs on; go on: the same command; stop: NAME=$NAME $0 down"; exit 130' INT TERM HUP
while :; do
  read -r now < <(look) || now=$NAME/  # not $(): there bash sometimes loses a Ctrl-C
  case $now in
    */Completed) exit ;;
    */Failed)
      codes=" $(kubectl get pods --selector="$pods" --output='jsonpath={..state.terminated.exitCode}') "
      say "$NAME failed, exit codes:$codes; hint: kubectl describe jobset $NAME; kubectl logs --selector=$pods"
      for code in 2 130 75 143; do if [[ $codes == *" $code "* ]]; then exit "$code"; fi; done
      exit 1 ;;
    "$NAME/") ;;
    *) die "$NAME was deleted; hint: the same command goes on from the last checkpoint" ;;
  esac
  kubectl logs --follow --ignore-errors "$since" --selector="$pods,$first" 2>/dev/null || true
  TZ=UTC printf -v since -- '--since-time=%(%Y-%m-%dT%H:%M:%SZ)T' -1
  sleep "$poll"
done
