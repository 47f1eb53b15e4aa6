"""What is due after a step."""

from tests.helpers.fake_loop import loop_config
from ugatit_jax.training.schedule import Due, due_after


def test_each_interval_counts_for_itself_and_the_last_step_has_all():
    config = loop_config(training__preview_every=2, evaluation__every=6)  # 12 steps, logged every 3rd, saved every 4th
    due = {step: due_after(step, config, leaving=False) for step in range(1, 13)}
    for name, every in (('log', 3), ('preview', 2), ('evaluate', 6), ('save', 4)):
        assert [step for step in due if getattr(due[step], name)] == list(range(every, 13, every)), name
    assert due_after(12, loop_config(), leaving=False) == Due(log=True, preview=True, evaluate=False, save=True)


def test_a_run_that_leaves_saves_and_skips_what_takes_time():
    config = loop_config(training__preview_every=1, evaluation__every=1)
    assert due_after(5, config, leaving=True) == Due(log=False, preview=False, evaluate=False, save=True)
    assert due_after(12, config, leaving=True) == Due(log=True, preview=True, evaluate=True, save=True)  # the end
