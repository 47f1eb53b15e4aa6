"""Stands in for gcloud, kubectl, Slurm's commands, Python and sleep in tests of launch/: stand_in.py NAME ARGS...

Every call is recorded in $STAND_INS/calls.jsonl. What answers it is in $STAND_INS/plan.json, where the cloud's state is kept,
too: see tests/helpers/stand_ins.py. A worker is a folder: what ssh runs there runs here, with HOME and PATH of its own.
Run by path and without site-packages, so nothing of this package is imported.
"""

import contextlib
import fcntl
import json
import os
import pathlib
import shutil
import subprocess
import sys
import time

FOLDER = pathlib.Path(os.environ['STAND_INS'])
HOST = os.environ.get('STAND_IN_HOST', '')  # the worker's name, on a worker
RECORDED = ('DEVICE', 'JAX_', 'PYTHON', 'SLURM_')


@contextlib.contextmanager
def plan():
    """The plan, written back at the end; one process at a time."""
    with open(FOLDER / 'lock', 'w') as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        values = json.loads((FOLDER / 'plan.json').read_text())
        yield values
        (FOLDER / 'plan.json').write_text(json.dumps(values))


def record(name, args):
    environment = {key: value for key, value in os.environ.items() if key.startswith(RECORDED)}
    stdin = '' if sys.stdin is None or sys.stdin.isatty() or name != 'kubectl' or '-' not in args else sys.stdin.read()
    call = {'name': name, 'args': args, 'host': HOST, 'environment': environment, 'stdin': stdin, 'cwd': os.getcwd()}
    with open(FOLDER / 'calls.jsonl', 'a') as file:
        file.write(json.dumps(call) + '\n')


def flag(args, name, default=''):
    return next((arg.split('=', 1)[1] for arg in args if arg.startswith(f'--{name}=')), default)


def refused(name, args):
    """Ends as the plan says for a call whose words begin with those of a key, on the hosts that it names."""
    words = ' '.join([name, *(arg for arg in args if not arg.startswith('--'))])
    with plan() as values:
        for start, answer in values['refuse'].items():
            if words.startswith(start) and HOST.startswith(answer.get('host', '')):
                if 'times' in answer:
                    answer['times'] -= 1
                    if answer['times'] < 0:
                        continue
                print(answer['error'], file=sys.stderr)
                sys.exit(answer.get('code', 1))


def next_of(values, key):
    """The first of a list; the last one stays."""
    return values[key].pop(0) if len(values[key]) > 1 else (values[key] or [''])[0]


def gcloud(args):
    match [arg for arg in args if not arg.startswith('--')]:
        case ['config', 'get', 'project']:
            with plan() as values:
                print(values['project'])
        case ['compute', 'tpus', 'accelerator-types', 'list']:
            with plan() as values:
                print('\n'.join(values['types']))
        case ['compute', 'tpus', 'queued-resources', 'list']:
            with plan() as values:
                print(next_of(values, 'states'))
        case ['compute', 'tpus', 'queued-resources', 'create', _]:
            with plan() as values:
                values['states'] = values['lives'].pop(0)
        case ['compute', 'tpus', 'queued-resources', 'delete', _]:
            with plan() as values:
                values['states'] = []
                for worker in values['workers']:
                    shutil.rmtree(FOLDER / worker, ignore_errors=True)
        case ['compute', 'tpus', 'queued-resources', 'describe', _]:
            with plan() as values:
                print(values['failure'])
        case ['compute', 'tpus', 'tpu-vm', 'list']:
            with plan() as values:
                print(next_of(values, 'nodes'))
        case ['compute', 'tpus', 'tpu-vm', 'ssh', _]:
            # as gcloud does: the command split at spaces, joined again by ssh, and read by the worker's shell
            command = ' '.join(flag(args, 'command').split(' '))
            codes = [subprocess.run(['bash', '-c', command], **on_worker(worker)).returncode for worker in workers(args)]
            sys.exit(next((code for code in codes if code), 0))
        case ['compute', 'tpus', 'tpu-vm', 'scp', source, target]:
            for worker in workers(args):
                shutil.copy(source, FOLDER / worker / (target.split(':')[1] or os.path.basename(source)))
        case ['storage', 'cp' | 'rm', *_]:
            pass
        case other:
            sys.exit(f'no such command: gcloud {other}')


def workers(args):
    """The workers that a call names; it fails where they are gone."""
    with plan() as values:
        if values['states'] != ['ACTIVE']:
            sys.exit('ERROR: (gcloud.compute.tpus.tpu-vm.ssh) NOT_FOUND: the node is gone')
        chosen = values['workers'] if flag(args, 'worker') == 'all' else [values['workers'][int(flag(args, 'worker'))]]
    for worker in chosen:
        (FOLDER / worker).mkdir(exist_ok=True)
    return chosen


def on_worker(worker):
    home = FOLDER / worker
    path = f'{FOLDER / "worker_bin"}:{os.environ["REAL_PATH"]}'
    keep = {name: os.environ[name] for name in ('STAND_INS', 'REAL_PATH')}
    return {
        'cwd': home,
        'env': {**keep, 'HOME': str(home), 'PATH': path, 'HOSTNAME': worker, 'STAND_IN_HOST': worker},
    }


def python(args):
    match args:
        case ['-c', *_]:  # is it recent enough
            with plan() as values:
                sys.exit(values['python_is_old'])
        case ['-m', 'venv', folder] | ['-m', 'uv', 'venv', *_, folder]:
            os.makedirs(f'{folder}/bin')
            shutil.copy(FOLDER / 'worker_bin' / 'python3', f'{folder}/bin/python')
        case ['-m', 'pip', *_]:
            pass
        case ['-m', 'ugatit_jax.main', *_]:
            run()
        case other:
            sys.exit(f'not expected: python {other}')


def run():
    """A run of main: the plan has what each start of a worker does."""
    with plan() as values:
        started = values['started'].setdefault(HOST, 0)
        values['started'][HOST] += 1
        does = values['runs'][started]
    print(f'start {started} of {HOST}', flush=True)
    while does.get('until') and not (FOLDER / does['until']).exists():
        time.sleep(0.02)
    if 'states' in does and HOST.endswith('0'):
        with plan() as values:
            values['states'] = does['states']
    sys.exit(does['code'])


def kubectl(args):
    words = [arg for arg in args if not arg.startswith('-')]
    with plan() as values:
        match words:
            case ['config', 'current-context']:
                print('cluster')
            case ['get', 'nodes']:
                print(values['kube_nodes'])
            case ['get', 'jobset', _]:
                print(next_of(values, 'jobset'))
            case ['get', 'pods']:
                print(values['exit_codes'])
            case ['logs']:
                print('a line of the log')


def slurm(name, args):
    if name == 'srun':
        with plan() as values:
            code = values['srun'].pop(0)
        sys.exit(code)


def main():
    name, *args = sys.argv[1:]
    record(name, args)
    refused(name, args)
    if name == 'gcloud':
        gcloud(args)
    elif name.startswith('python'):
        python(args)
    elif name == 'kubectl':
        kubectl(args)
    else:
        slurm(name, args)


main()
