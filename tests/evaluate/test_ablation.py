"""The paper's ablation table: the runs that the script makes, and the table of their results."""

import json
import os
import pathlib
import subprocess

import pytest

from configs.ablation import ROWS
from tests.helpers.paths import ROOT
from ugatit_jax.common.errors import UserError
from ugatit_jax.evaluate import ablation
from ugatit_jax.evaluate.metrics import MetricValue
from ugatit_jax.evaluate.results import Results


def write_evaluation(
    workdir: pathlib.Path,
    step: int = 300,
    protocol: str = 'fidelity',
    data: str = 'synthetic:faces',
    **metrics: tuple[float, float],
) -> None:
    """What --mode=eval writes for metrics of (A2B, B2A)."""
    values = {
        direction: {name: MetricValue(pair[i]) for name, pair in metrics.items()}
        for i, direction in enumerate(('A2B', 'B2A'))
    }
    about = {'model': 'light', 'step': str(step), 'data': data, 'image size': '64'}
    folder = workdir / 'evaluation' / f'{step}-{protocol}'
    folder.mkdir(parents=True)
    Results('', about, protocol, None, {}, {}, values, [], {}).write(str(folder))


@pytest.fixture
def runs(tmp_path):
    write_evaluation(tmp_path / 'paper/seed0', step=100, domain_accuracy=(0.0, 0.0))  # an earlier one
    write_evaluation(
        tmp_path / 'paper/seed0',
        domain_accuracy=(0.9, 0.7),
        cycle_l1=(0.1, 0.2),
        pointing_accuracy=(0.6, 0.8),
        kid=(0.05, 0.07),
    )
    write_evaluation(
        tmp_path / 'paper/seed10',
        domain_accuracy=(0.5, 0.5),
        cycle_l1=(0.1, 0.1),
        pointing_accuracy=(0.5, 0.5),
        kid=(0.03, 0.05),
    )
    write_evaluation(tmp_path / 'no_cam/seed0', domain_accuracy=(0.4, 0.6), cycle_l1=(0.3, 0.3), kid=(0.1, 0.2))
    (tmp_path / 'ln/seed0').mkdir(parents=True)  # not evaluated yet
    return tmp_path


def test_the_table_has_the_mean_of_seeds_beside_the_papers_numbers(runs, capsys):
    assert ablation.main([str(runs)]) == 0
    text = (runs / 'ablation.md').read_text()
    assert text in capsys.readouterr().out
    assert text.splitlines()[:4] == [
        '| row | seeds | domain accuracy | cycle L1 | pointing accuracy | KID x 100 | paper |',
        '| --- | --- | --- | --- | --- | --- | --- |',
        '| paper | 2 | 0.650 (0.500 to 0.800) | 0.1250 (0.1000 to 0.1500) | 0.600 (0.500 to 0.700) | 4.000 / 6.000 '
        '| 11.61 / 11.52 |',
        '| no_cam | 1 | 0.500 | 0.3000 | - | 10.000 / 20.000 | 12.85 / 14.06 |',
    ]
    assert 'All runs: model light, step 300, data synthetic:faces, image size 64, protocol fidelity.' in text
    assert 'Not run: in, ln, adain, gn, no_generator_cam, no_discriminator_cam.' in text
    found = json.loads((runs / 'ablation.json').read_text())
    assert found['rows']['paper']['seeds'] == [0, 10] and found['rows']['no_cam']['paper_kid_x100'] == [12.85, 14.06]
    assert found['rows']['paper']['metrics']['cycle_l1']['B2A'] == pytest.approx(0.15)
    assert [run['path'] for run in found['runs']][0] == str(runs / 'paper/seed0/evaluation/300-fidelity/metrics.json')
    assert ablation.main([str(runs)]) == 0  # again, over its own files


def test_runs_that_cannot_be_compared_are_named(runs):
    write_evaluation(runs / 'ln/seed0', step=200, domain_accuracy=(0.1, 0.1))
    text = ablation.markdown(ablation.read_runs(runs))
    assert (
        'The runs differ in step and cannot be compared: 300: paper/seed0, paper/seed10, no_cam/seed0; 200: ln/seed0' in text
    )
    assert 'All runs' not in text


def test_what_cannot_be_a_table_is_refused_in_one_line(runs, tmp_path, capsys):
    def refused(folder: pathlib.Path, *flags: str) -> str:
        assert ablation.main([str(folder), *flags]) == 2
        lines = capsys.readouterr().err.splitlines()
        assert len(lines) == 1 and lines[0].startswith('ugatit_jax: ')
        return lines[0]

    write_evaluation(runs / 'paper/seed0', protocol='clean', domain_accuracy=(0.9, 0.7))
    assert 'several protocols, clean, fidelity: choose one by --protocol' in refused(runs)
    assert ablation.main([str(runs), '--protocol=fidelity']) == 0
    capsys.readouterr()
    assert 'has no evaluated run' in refused(runs, '--protocol=ugatit')
    assert 'has no evaluated run' in refused(runs / 'paper')
    (runs / 'no_cam/seed0/evaluation/300-fidelity/metrics.json').write_text('{"metrics": 3')
    assert 'no_cam/seed0/evaluation/300-fidelity/metrics.json is not an evaluation' in refused(runs, '--protocol=fidelity')


def test_files_of_others_are_not_replaced(runs):
    (runs / 'ablation.md').write_text('my notes')
    with pytest.raises(UserError, match='did not write'):
        ablation.write_table(runs, ablation.read_runs(runs))
    assert (runs / 'ablation.md').read_text() == 'my notes' and not (runs / 'ablation.json').exists()


def test_every_row_has_the_papers_numbers():
    assert list(ablation.PAPER) == list(ROWS)


@pytest.fixture
def script(tmp_path):
    """launch/ablation.sh with a Python that prints its arguments."""
    python = tmp_path / 'python'
    python.write_text('#!/bin/sh\necho "$@"\n')
    python.chmod(0o755)

    def run(*flags: str, **environment: str) -> subprocess.CompletedProcess:
        env = {'PATH': os.environ['PATH'], 'PYTHON': str(python), 'RUNS': 'runs/study', **environment}
        command = [ROOT / 'launch' / 'ablation.sh', *flags]
        return subprocess.run(command, cwd=tmp_path, env=env, text=True, capture_output=True)

    return run


def test_the_script_trains_evaluates_and_writes_the_table_after_each(script, tmp_path):
    result = script('--step=best', '--config.model.ch=8', ROWS='paper no_cam', SEEDS='0 7', CONFIG='cat2dog')
    assert result.returncode == 0, result.stderr
    lines = [line for line in result.stdout.splitlines() if not line.startswith('==')]
    runs = tmp_path / 'runs/study'
    assert len(lines) == 3 * 4 and lines[2::3] == [f'-m ugatit_jax.evaluate.ablation {runs}'] * 4
    train = (
        f'-m ugatit_jax.main --config=configs/ablation.py:no_cam,cat2dog --workdir={runs}/no_cam/seed7 --config.seed=7 '
        '--config.model.ch=8'
    )
    assert lines[9:11] == [train, f'{train} --mode=eval --step=best']


def test_the_script_as_a_job_of_an_array(script):
    assert 'RUNS: folder' in script(RUNS='').stderr
    jobs = [script(f'--index={i}').stdout.splitlines()[0] for i in (0, 7, 8, 15)]
    assert jobs == [f'== {row}, seed {seed}' for seed in (0, 1) for row in ('paper', 'no_discriminator_cam')]
    one = script(SLURM_ARRAY_TASK_ID='1', SLURM_SUBMIT_DIR=str(ROOT)).stdout.splitlines()
    assert one[0] == '== in, seed 0' and len(one) == 4
    for index in ('16', 'x', '-1'):
        result = script(f'--index={index}')
        assert result.returncode == 2 and f'index {index} is not one of 0 to 15' in result.stderr and not result.stdout
