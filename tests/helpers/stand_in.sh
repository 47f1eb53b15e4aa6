#!/usr/bin/env bash
# Stands in for gcloud, kubectl, srun, scontrol, sleep and Python in tests of launch/, by the name it is called by; in bash
# because a test calls it a hundred times. Records every call in $STAND_INS/calls: fields end with \x1f, calls with \x1e.
# $STAND_INS/plan/ has what it answers and what state the cloud is in, a file a value: tests/helpers/stand_ins.py.
# A worker is a folder: what ssh runs there is run here, with HOME, PATH and HOSTNAME of its own.
set -euo pipefail
name=${0##*/}
host=${STAND_IN_HOST:-}
plan=$STAND_INS/plan
stdin=
if [[ $name == kubectl && " $* " == *' --filename=- '* ]]; then stdin=$(cat); fi
environment=$(env | grep -E '^(DEVICE|PYTHON|JAX_|SLURM_)' || true)
printf -v call '%s\x1f' "$host" "$environment" "$stdin" "$name" "$@"
printf '%s\x1e' "$call" >>"$STAND_INS/calls"  # in one piece: workers call at the same time

plain=()
for arg in "$@"; do if [[ $arg != --* ]]; then plain+=("$arg"); fi; done
words="$name ${plain[*]-}"
flag() { local arg; for arg in "${@:2}"; do if [[ $arg == "--$1="* ]]; then echo "${arg#*=}"; fi; done; }
pop() {  # the first line of a list; the last one stays
  local lines
  mapfile -t lines <"$plan/$1"
  echo "${lines[0]-}"
  if ((${#lines[@]} > 1)); then printf '%s\n' "${lines[@]:1}" >"$plan/$1"; fi
}
take() { head -n 1 "$plan/$1"; sed -i 1d "$plan/$1"; }  # the first line, for good
states() { tr , '\n' <<<"$1" >"$plan/states"; }

for refusal in "$plan"/refuse/*; do
  if [[ ! -e $refusal ]]; then break; fi
  { read -r start; read -r where; read -r times; read -r code; error=$(cat); } <"$refusal"
  if [[ $words != "$start"* || $host != "$where"* ]] || ((times == 0)); then continue; fi
  if ((times > 0)); then  # renamed into place: others read it meanwhile
    printf '%s\n' "$start" "$where" "$((times - 1))" "$code" "$error" >"$plan/refusal-$$"
    mv "$plan/refusal-$$" "$refusal"
  fi
  echo "$error" >&2
  exit "$code"
done

workers() {  # those that the call names; it fails where they are gone
  if [[ $(cat "$plan/states") != ACTIVE ]]; then
    echo 'ERROR: (gcloud.compute.tpus.tpu-vm.ssh) NOT_FOUND: the node is gone' >&2
    exit 1
  fi
  local which
  which=$(flag worker "$@")
  if [[ $which == all ]]; then cat "$plan/workers"; else sed -n "$((which + 1))p" "$plan/workers"; fi
}
on_worker() {  # as gcloud does: the command is split at spaces, joined again by ssh, and read by the worker's shell
  mkdir -p "$STAND_INS/$1"
  cd "$STAND_INS/$1"
  env -i STAND_INS="$STAND_INS" REAL_PATH="$REAL_PATH" PATH="$STAND_INS/worker_bin:$REAL_PATH" HOME="$PWD" HOSTNAME="$1" \
    STAND_IN_HOST="$1" bash -c "$2"
}
waiting() { [[ -e $STAND_INS/$host && ! -e $STAND_INS/closed ]] && sleep 0.05; }  # while the worker and the test last
main() {  # a start of a worker
  local started peer code='' until='' states=''
  started=$(cat "$plan/started-$host" 2>/dev/null || echo 0)
  echo $$ >"$STAND_INS/pid-$host"
  echo $((started + 1)) >"$plan/started-$host"
  # shellcheck disable=SC2046
  local $(sed -n "$((started + 1))p" "$plan/runs")
  while read -r peer; do  # the processes of a run join
    while ! grep --quiet -x "$((started + 1))" "$plan/started-$peer" 2>/dev/null; do waiting || exit 1; done
  done <"$plan/workers"
  echo "start $started of $host"
  while [[ -n $until && ! -e $STAND_INS/$until ]]; do waiting || exit 1; done
  if [[ -n $states && $host == *0 ]]; then states "$states"; fi
  exit "$code"
}

case $words in
  'gcloud config get project') cat "$plan/project" ;;
  'gcloud compute tpus accelerator-types list') cat "$plan/types" ;;
  'gcloud compute tpus queued-resources list') pop states ;;
  'gcloud compute tpus queued-resources create '*) states "$(take lives)" ;;
  'gcloud compute tpus queued-resources delete '*)
    states ''
    while read -r worker; do rm -rf "${STAND_INS:?}/$worker"; done <"$plan/workers" ;;
  'gcloud compute tpus queued-resources describe '*) cat "$plan/failure" ;;
  'gcloud compute tpus tpu-vm list') pop nodes ;;
  'gcloud compute tpus tpu-vm ssh '*)
    first=0
    for worker in $(workers "$@"); do
      code=0
      (on_worker "$worker" "$(flag command "$@")") || code=$?
      first=$((first ? first : code))
    done
    exit "$first" ;;
  'gcloud compute tpus tpu-vm scp '*)
    for worker in $(workers "$@"); do
      mkdir -p "$STAND_INS/$worker"
      cp "${plain[4]}" "$STAND_INS/$worker/${plain[5]#*:}"
    done ;;
  'gcloud storage cp '* | 'gcloud storage rm '*) ;;
  'kubectl config current-context') echo cluster ;;
  'kubectl get nodes') cat "$plan/kube_nodes" ;;
  'kubectl get jobset '*) pop jobset ;;
  'kubectl get pods') cat "$plan/exit_codes" ;;
  'kubectl logs') echo 'a line of the log' ;;
  kubectl*) ;;
  srun*)
    read -r code told <<<"$(take srun)"
    if [[ -n $told ]]; then kill -TERM "$PPID"; fi
    exit "$code" ;;
  scontrol* | sleep*) ;;
  python*' -c import ensurepip'*) exit "$(cat "$plan/python_is_old")" ;;
  python*' -m venv .venv' | python*' -m uv venv .venv')
    mkdir -p .venv/bin
    cp "$STAND_INS/worker_bin/python3" .venv/bin/python ;;
  python*' -m pip install'*) ;;
  python*' -m ugatit_jax.main'*) main ;;
  *) echo "not expected: $words" >&2; exit 99 ;;
esac
