#!/usr/bin/env bash
# Trains the paper's data sets one after another, evaluates each and appends its KID to a table of results:
#   WORKDIR=runs launch/reproduce.sh [--config.FIELD=VALUE ...]
#   DATASETS="horse2zebra cat2dog" launch/reproduce.sh --config.data.batch_size=8    # some of them
# Run it again to continue: finished data sets are not trained again. A million steps each, as in the paper: days on one GPU.
set -euo pipefail
cd "$(dirname "$0")/.."
WORKDIR=${WORKDIR:-runs/reproduce}
DATASETS=${DATASETS:-selfie2anime horse2zebra cat2dog photo2portrait photo2vangogh}
PYTHON=${PYTHON:-.venv/bin/python}
PROTOCOL=${PROTOCOL:-ugatit}  # the authors' tool; its equal mean of KID to target and source is what to hold beside the paper's
TABLE=$WORKDIR/results.md

mkdir -p "$WORKDIR"
test -e "$TABLE" || printf '%s\n' \
  '| data set | model | step | protocol | direction | n | KID x 100 to target | equal mean | FID | domain accuracy |' \
  '|---|---|---|---|---|---|---|---|---|---|' > "$TABLE"

for name in $DATASETS; do
  run=("$PYTHON" -m ugatit_jax.main --config="configs/$name.py" --workdir="$WORKDIR/$name" "$@")
  "${run[@]}"
  "${run[@]}" --mode=eval --config.evaluation.protocol="$PROTOCOL"
  # shellcheck disable=SC2012  # newest first; names of evaluations have no special characters
  newest=$(ls -td "$WORKDIR/$name"/evaluation/*-"$PROTOCOL" | head -n 1)
  rows=$("$PYTHON" -m ugatit_jax.evaluate.results "$name" "$newest")
  { grep -v "^| $name |" "$TABLE"; echo "$rows"; } > "$TABLE.new"  # rows of an earlier evaluation are replaced
  mv "$TABLE.new" "$TABLE"
done
cat "$TABLE"
