#!/usr/bin/env bash
# Prints the JobSet of a run: gke.yaml (a TPU slice) or gke_gpu.yaml (GPU nodes) with values in place of ${...}. The settings
# are those of launch/gke.sh, which creates it.
set -euo pipefail
here=$(dirname "$0")
# shellcheck source=launch/common.sh
source "$here/common.sh"
: "${NAME:?name of the JobSet}" "${WORKDIR:?gs://BUCKET/FOLDER}" "${IMAGE:?made of docker/Dockerfile}"
: "${ACCELERATOR:?label of the nodes}" "${HOSTS:?number of nodes}" "${CHIPS:?TPU chips or GPUs of a node}"
DEVICE=${DEVICE:-tpu} SERVICE_ACCOUNT=${SERVICE_ACCOUNT:-default} RETRIES=${RETRIES:-10} GRACE=${GRACE:-600}
WORKDIR=${WORKDIR%/}
case $DEVICE in
  tpu) manifest=$(<"$here/gke.yaml"); : "${TOPOLOGY:?of the slice, for example 4x4}" ;;
  cuda) manifest=$(<"$here/gke_gpu.yaml"); TOPOLOGY= ;;
  *) die "DEVICE=$DEVICE is not tpu or cuda" ;;
esac

put() { manifest=${manifest//"\${$1}"/"$2"}; }  # put NAME YAML
json() {  # json TEXT: quoted for YAML
  local text=${1//\\/\\\\}
  text=${text//\"/\\\"}
  text=${text//$'\n'/\\n}
  echo "\"${text//$'\t'/\\t}\""
}

for name in HOSTS CHIPS RETRIES GRACE; do
  [[ ${!name} =~ ^[0-9]+$ ]] || die "$name=${!name} is not a number"
  put "$name" "${!name}"
done
for name in NAME IMAGE ACCELERATOR TOPOLOGY SERVICE_ACCOUNT; do put "$name" "$(json "${!name}")"; done
put COORDINATOR "$(json "$NAME-train-0-0.$NAME:8476")"
put PROCESSES "$(json "$HOSTS")"
put DEVICES "$(json "$(seq -s , 0 $((CHIPS - 1)))")"
arguments=
for argument in "--workdir=$WORKDIR" "--compilation_cache=${CACHE:-$WORKDIR/compiled}" "$@"; do
  arguments+=${arguments:+, }$(json "${argument//\$/\$\$}")  # Kubernetes reads $(NAME) and $$
done
put ARGS "[$arguments]"
echo "$manifest"
