#!/usr/bin/env bash
# Measures on a GPU what docs/performance.md and docs/results.md have no figures for; every part leaves JSON in OUT when it ends.
#   OUT=out REFERENCE=../UGATIT-pytorch CAT2DOG=../cat2dog benchmarks/gpu.sh steps official emoji cat2dog   # 40 minutes in all
#   TOY=1 OUT=out benchmarks/gpu.sh steps emoji    # the same calls at toy size, to rehearse on a CPU
# REFERENCE: a checkout of the official PyTorch code. CAT2DOG: a folder with trainA, trainB, testA and testB. A part has
# MINUTES (10) and is stopped then; a training that was stopped continues when its part is run again.
set -uo pipefail
: "${OUT:?folder for the figures}"
PYTHON=${PYTHON:-python} minutes=${MINUTES:-10} failed=0
mkdir -p "$OUT"
if [[ -n ${TOY:-} ]]; then
  size=32 ch=4 batches=1 last=4 every=2 toy=(--config.model.n_res=1 --config.model.n_layers_global=4 --config.model.n_layers_local=3)
  measure=(--set model.n_res=1 model.n_layers_global=4 model.n_layers_local=3 --rounds=1 --steps=1)
else
  size=256 ch=64 batches='1 4 8' last=100000 every=2000 toy=() measure=()
fi

part() {  # part NAME COMMAND...: its output to OUT/NAME.log
  local name=$1
  shift
  echo "$(date +%T) $name"
  timeout --preserve-status --signal=TERM --kill-after=60 "$((minutes * 60))" "$PYTHON" -m "$@" >"$OUT/$name.log" 2>&1
  local code=$?
  case $code in
    0 | 75) ;;  # 75: a training that was stopped and saved its state
    *) echo "$name: exit code $code, see $OUT/$name.log" >&2; failed=1 ;;
  esac
}

steps() {  # seconds, memory and compile time of our step
  local model dtype
  for dtype in bfloat16 float32; do
    for model in light full; do
      # shellcheck disable=SC2086  # several numbers
      part "step-$model-$dtype" benchmarks.step --models "$model" --sizes "$size" --ch "$ch" --batches $batches \
        --dtypes "$dtype" "${measure[@]}" --json="$OUT/step-$model-$dtype.json"
    done
  done
}

official() {  # the official step, eager and compiled, beside ours
  local batch
  for batch in $batches; do
    part "official-$batch" benchmarks.vs_pytorch --reference="${REFERENCE:?checkout of the official PyTorch code}" \
      --image_size="$size" --ch="$ch" --batch_size="$batch" --json="$OUT/official-$batch.json"
  done
}

train() {  # train NAME SOURCE: at 128 pixels, evaluated on the way; what it measured is in evaluation.jsonl
  local side=128
  if [[ -n ${TOY:-} ]]; then side=$size; fi
  part "$1" ugatit_jax.main --config=configs/default.py --workdir="$OUT/runs/$1" --config.data.source="$2" \
    --config.data.image_size="$side" --config.model.ch="$ch" --config.loss.cam_weight=1 --config.model.stem_norm=False \
    --config.data.device_resident=True --config.training.compute_dtype=bfloat16 --config.training.steps="$last" \
    --config.training.ema_decay=0.999 --config.training.checkpoint_every="$every" --config.training.preview_every="$every" \
    --config.training.log_every="$((every / 2))" --config.evaluation.every="$every" "${toy[@]}"
  cp "$OUT/runs/$1/evaluation.jsonl" "$OUT/$1-evaluation.jsonl" && cp "$OUT/runs/$1/metrics.jsonl" "$OUT/$1-metrics.jsonl"
}

for name in "${@:-steps}"; do
  case $name in
    steps) steps ;;
    official) official ;;
    emoji) train emoji emoji ;;
    cat2dog) train cat2dog "folder:${CAT2DOG:?folder with trainA and trainB}" ;;
    *) echo "'$name' is not steps, official, emoji or cat2dog" >&2; exit 2 ;;
  esac
done
exit "$failed"
