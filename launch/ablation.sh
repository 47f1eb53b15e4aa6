#!/usr/bin/env bash
# Rows of the paper's ablation table with several seeds: trains and evaluates each, writes RUNS/ablation.md and .json.
#   RUNS=runs/ablation launch/ablation.sh                                            # all rows on the demo, one after another
#   RUNS=... CONFIG=selfie2anime ROWS='paper no_cam' SEEDS='0 1 2' launch/ablation.sh --config.data.batch_size=4
#   RUNS=... sbatch --array=0-15 launch/ablation.sh                                  # each run a job; 8 rows x 2 seeds
#   RUNS=... launch/ablation.sh --index=3                                            # one such job elsewhere
# Run it again to continue. Other flags go to every training and evaluation, --step to evaluations.
set -euo pipefail
: "${RUNS:?folder for ROW/seedN and the table}"
CONFIG=${CONFIG:-demo}  # a config of configs/, by name
SEEDS=${SEEDS:-0 1}
ROWS=${ROWS:-paper in ln adain gn no_cam no_generator_cam no_discriminator_cam}
INDEX=${SLURM_ARRAY_TASK_ID:-}
RUNS=$(realpath -m "$RUNS")
cd "${SLURM_SUBMIT_DIR:-$(dirname "$0")/..}"  # Slurm runs a copy of this file from elsewhere
PYTHON=${PYTHON:-$(test -x .venv/bin/python && echo .venv/bin/python || echo python3)}
if [[ ${1:-} == --index=* ]]; then INDEX=${1#--index=}; shift; fi
others=() evaluation=(--mode=eval)
for flag in "$@"; do
  if [[ $flag == --step=* ]]; then evaluation+=("$flag"); else others+=("$flag"); fi
done

jobs=()
for seed in $SEEDS; do for row in $ROWS; do jobs+=("$row $seed"); done; done
if [[ -n $INDEX ]]; then
  if [[ ! $INDEX =~ ^[0-9]+$ ]] || ((INDEX >= ${#jobs[@]})); then
    echo "ugatit_jax: index $INDEX is not one of 0 to $((${#jobs[@]} - 1))" >&2; exit 2
  fi
  jobs=("${jobs[$INDEX]}")
fi

for job in "${jobs[@]}"; do
  read -r row seed <<<"$job"
  flags=("--config=configs/ablation.py:$row,$CONFIG" "--workdir=$RUNS/$row/seed$seed" "--config.seed=$seed")
  flags+=(${others[@]+"${others[@]}"})  # bash before 4.4 takes an empty array for an unset variable
  echo "== $row, seed $seed"
  "$PYTHON" -m ugatit_jax.main "${flags[@]}"
  "$PYTHON" -m ugatit_jax.main "${flags[@]}" "${evaluation[@]}"
  "$PYTHON" -m ugatit_jax.evaluate.ablation "$RUNS"
done
