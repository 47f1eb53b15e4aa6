#!/usr/bin/env bash
# Trains on an existing Cloud TPU VM or pod slice: the same command on every worker.
#   NAME=my-tpu ZONE=us-central2-b launch/tpu.sh --config=configs/horse2zebra.py --workdir=gs://BUCKET/h2z --config.data.batch_size=8
# The workdir has to be a place that every worker sees. A preempted run saves and ends with exit code 75; run it again to
# continue.
set -euo pipefail
: "${NAME:?name of the TPU VM}" "${ZONE:?its zone}"
REPOSITORY=${REPOSITORY:-ugatit_jax}  # folder of this checkout on the workers
cd "$(dirname "$0")/.."

tpu() { gcloud compute tpus tpu-vm "$@" --zone="$ZONE" --worker=all; }

git archive --format=tar.gz --output=/tmp/ugatit_jax.tar.gz HEAD
tpu scp /tmp/ugatit_jax.tar.gz "$NAME:"
tpu ssh "$NAME" --command="
  set -e
  mkdir -p $REPOSITORY && tar -xzf ugatit_jax.tar.gz -C $REPOSITORY && cd $REPOSITORY
  test -x .venv/bin/python || python3 -m venv .venv
  .venv/bin/pip install --quiet -e '.[tpu]'
  .venv/bin/python -m ugatit_jax.main --distributed $(printf '%q ' "$@")"
