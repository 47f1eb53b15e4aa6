#!/usr/bin/env bash
# On a worker that is reached by ssh: runs worker.sh in the background, so that a lost connection does not end the run.
#   launch/detached.sh start WORKDIR ARGS...    ends what is left of an earlier run, starts worker.sh --workdir=WORKDIR ARGS
#   launch/detached.sh follow [LINES]           prints the log, all of it or the last LINES, until the run ends
#   launch/detached.sh status                   prints none, running or the exit code; 143 where it was killed and left none
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=launch/common.sh
source launch/common.sh
pid=$(cat .worker/pid 2>/dev/null || true)

alive() {  # not by kill -0: a process that nothing reaped is not alive, and after a reboot the id may be another's
  local words=()
  if [[ -n $pid ]]; then mapfile -d '' words <"/proc/$pid/cmdline"; fi 2>/dev/null
  [[ ${words[*]-} == *launch/worker.sh* ]]
}

case ${1:-} in
  start)
    workdir=$2
    shift 2
    if command -v gcloud >/dev/null; then check_bucket "$workdir" "worker $HOSTNAME"; fi
    if alive; then kill -KILL -- "-$pid"; fi
    mkdir -p .worker
    rm -f .worker/exit_code
    # at a shutdown every process gets SIGTERM: the trap lets the shell outlive the save, to note the exit code
    # shellcheck disable=SC2016  # expands in the shell that is started
    setsid nohup bash -c 'trap : TERM; launch/worker.sh "$@"; echo $? >.worker/exit_code' detached \
      "--workdir=$workdir" "$@" >.worker/log 2>&1 </dev/null &
    echo $! >.worker/pid
    ;;
  follow)
    while alive; do sleep 0.2; done &
    tail --pid=$! --lines="${2:-+1}" --follow=name --sleep-interval=0.2 .worker/log
    ;;
  status)
    if [[ -s .worker/exit_code ]]; then cat .worker/exit_code
    elif alive; then echo running
    elif [[ -n $pid ]]; then echo 143
    else echo none; fi
    ;;
  *) die "'${1:-}' is not start, follow or status" ;;
esac
