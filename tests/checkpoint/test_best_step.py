"""The best checkpoint by a metric: smallest, or largest where its name begins with '-'."""

import pytest

from ugatit_jax.checkpoint.best_step import best_step

METRICS = {30: {'kid': 0.2, 'accuracy': 0.9}, 10: {'kid': 0.1, 'accuracy': 0.5}, 20: {'kid': 0.1}, 40: {}}


@pytest.mark.parametrize('best, step', [('kid', 10), ('-kid', 30), ('accuracy', 10), ('-accuracy', 30), ('', None)])
def test_the_best_step(best, step):
    assert best_step(METRICS, best) == step


def test_there_is_none_without_metrics():
    assert best_step({10: {}, 20: {}}, 'kid') is None and best_step({}, 'kid') is None
