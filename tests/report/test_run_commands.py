"""The commands on the page of a run."""

from tests.helpers.run_workdir import config_of
from ugatit_jax.report.run_commands import continue_command, run_commands


def test_the_command_that_continues_a_run():
    recorded = 'python -m ugatit_jax.main --config=configs/demo.py --workdir=runs/a'
    assert continue_command('runs/a', recorded, config_of()) == recorded
    # started from Python: the fields that differ from the default
    made = continue_command('my runs/a', 'python train.py', config_of(steps=200) | {'converted': ['model.ch']})
    assert made == "python -m ugatit_jax.main --config=configs/default.py '--workdir=my runs/a' --config.training.steps=200"
    assert continue_command('my runs', '', {}) == "python -m ugatit_jax.main --config=CONFIG --workdir='my runs'"


def test_a_folder_with_another_name_is_not_continued_in_the_old_one():
    recorded = "python -m ugatit_jax.main --config=demo '--workdir=my runs/a' --config.seed=3"
    for folder in ('my runs/a', '/elsewhere/a', '/elsewhere/a/'):  # the same name: a path from another folder
        assert continue_command(folder, recorded, {}) == recorded
    moved = 'python -m ugatit_jax.main --config=demo --workdir=runs/b --config.seed=3'
    assert continue_command('runs/b', recorded, {}) == moved
    assert continue_command('runs/b', recorded.replace("'--workdir=", "--workdir '"), {}) == moved
    damaged = "python -m ugatit_jax.main --workdir='my runs"
    assert continue_command('runs/b', damaged, {}) == damaged
    unnamed = 'python -m ugatit_jax.main --config=demo'
    assert continue_command('runs/b', unnamed, {}) == unnamed


def test_the_other_commands():
    commands = {command['title']: command['text'] for command in run_commands('my runs', '', {})}
    assert commands['Evaluate'] == f'{commands["Continue"]} --mode=eval'
    assert commands['Write this page again'] == "python -m ugatit_jax.run_page 'my runs'"
    assert "--checkpoint='my runs'" in commands['Translate images']
