"""The first step and term that are not finite are named, and a run goes back once at most."""

import numpy as np

from ugatit_jax.training.nan_guard import NanGuard


def test_the_first_of_the_recent_steps_that_is_not_finite_is_named():
    good, bad = {'D_A': np.float32(1), 'G_A': np.float32(2)}, {'D_A': np.float32(1), 'G_A': np.float32('nan')}
    guard = NanGuard('stop')
    for step, metrics in ((6, good), (7, good)):
        guard.record(step, metrics)
    assert guard.check(good) == ''
    for step, metrics in ((6, good), (7, bad), (8, {'D_A': np.float32('inf')} | bad)):
        guard.record(step, metrics)
    assert guard.check(bad) == 'step 7: G_A is nan'


def test_a_run_goes_back_once_and_only_if_its_config_says_so():
    stop, restore = NanGuard('stop'), NanGuard('restore')
    assert [stop.may_roll_back(), restore.may_roll_back(), restore.may_roll_back()] == [False, True, False]
