#!/usr/bin/env bash
# What every worker of every launcher runs: installs where nothing is installed, trains as one process of the run, passes
# the exit code on. 0: done. 75: preempted and saved, 143: killed while compiling, both: run again. 2: a mistake. 130: Ctrl-C.
#   DEVICE=tpu launch/worker.sh --config=configs/horse2zebra.py --workdir=gs://BUCKET/h2z    # installs into .venv once
#   DEVICE=cuda launch/worker.sh install                                                     # installs and ends
#   PYTHON=python launch/worker.sh ...       # with an interpreter that has everything, as in the image of docker/Dockerfile
set -euo pipefail
cd "$(dirname "$0")/.."

install() {
  local packages=(-r requirements.txt) python found=
  case $DEVICE in
    cpu) ;;
    cuda | tpu) packages+=("jax[$DEVICE]") ;;
    *) echo "ugatit_jax: DEVICE=$DEVICE is not cpu, cuda or tpu" >&2; exit 2 ;;
  esac
  for python in python3.11 python3.12 python3; do  # 3.11 first: the tests run on it
    if "$python" -c 'import ensurepip, sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then found=$python; break; fi
  done
  if [[ -n $found ]]; then
    "$found" -m venv .venv
  else  # Ubuntu 22.04, which TPU VMs have, comes with Python 3.10
    PIP_BREAK_SYSTEM_PACKAGES=1 python3 -m pip install --quiet --user uv
    python3 -m uv venv --quiet --clear --seed --python=3.11 .venv
  fi
  .venv/bin/python -m pip install --quiet "${packages[@]}"
  .venv/bin/python -m pip install --quiet --no-deps --editable .
  touch ".venv/installed-$DEVICE"
}

if [[ -z ${PYTHON:-} ]]; then
  : "${DEVICE:?cpu, cuda or tpu: what to install for; or PYTHON=an interpreter that has everything}"
  PYTHON=.venv/bin/python
  test -e ".venv/installed-$DEVICE" || install
fi
if [[ ${1:-} == install ]]; then exit; fi
exec "$PYTHON" -m ugatit_jax.main --distributed "$@"
