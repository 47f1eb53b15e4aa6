#!/usr/bin/env bash
#SBATCH --job-name=ugatit
#SBATCH --ntasks-per-node=1
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --signal=TERM@300
# Trains on the nodes of a Slurm job, one process a node with all its GPUs. 300 seconds before the time limit the run saves
# and ends with 75, and the job is queued again, as Slurm does when another job takes the nodes. Flags of sbatch come first:
#   WORKDIR=/shared/runs/h2z sbatch --nodes=2 --gpus-per-node=4 --cpus-per-task=16 --time=24:00:00 launch/slurm.sh \
#     --config=configs/horse2zebra.py
#   WORKDIR=/shared/runs/h2z sbatch --array=0-3 --gpus-per-node=1 ... launch/slurm.sh ...    # seeds 0 to 3: WORKDIR/seedN
# Also PYTHON=.venv/bin/python (of the checkout; make install makes it) and RETRIES=100.
set -euo pipefail
cd "${SLURM_SUBMIT_DIR:?is set by sbatch; submit this from the checkout}"  # Slurm runs a copy of this file from elsewhere
# shellcheck source=launch/common.sh
source launch/common.sh
: "${WORKDIR:?folder on a disk of all nodes}"
if [[ -n ${SLURM_ARRAY_TASK_ID:-} ]]; then
  WORKDIR=$WORKDIR/seed$SLURM_ARRAY_TASK_ID
  set -- "--config.seed=$SLURM_ARRAY_TASK_ID" "$@"
fi
export PYTHON=${PYTHON:-$PWD/.venv/bin/python}
command -v "$PYTHON" >/dev/null || die "PYTHON=$PYTHON is not there; hint: make install, where there is a network"
[[ $WORKDIR == *://* ]] || quietly mkdir -p "$WORKDIR" ||
  die "WORKDIR=$WORKDIR cannot be made: $reason; hint: a folder on a disk of all nodes"

flags=(--kill-on-bad-exit=0 --wait=300)  # all save the same step: the first that is done must not end the others
if [[ -n ${SLURM_CPUS_PER_TASK:-} ]]; then flags+=("--cpus-per-task=$SLURM_CPUS_PER_TASK"); fi  # srun does not inherit it
code=0 told=''
trap 'told=1' TERM  # this shell gets it, too, by scancel and where Slurm queues again itself; not before the time limit
srun "${flags[@]}" launch/worker.sh "--workdir=$WORKDIR" "$@" || code=$?
case $code in
  75 | 143)
    if [[ -n $told ]]; then exit "$code"; fi
    if ((${SLURM_RESTART_COUNT:-0} >= ${RETRIES:-100})); then
      say "given up after $SLURM_RESTART_COUNT new starts"
      exit "$code"
    fi
    scontrol requeue "$SLURM_JOB_ID" ;;
esac
exit "$code"
