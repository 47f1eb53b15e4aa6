"""From logged rows to series of metrics."""

from ugatit_jax.report.panels import metric_series


def test_rows_in_any_order_and_twice():
    series, left_out = metric_series([{'step': 3, 'D': 3}, {'step': 1, 'D': 1, 'x': None}, {'step': 3, 'D': 4}])
    assert series['D'][0].tolist() == [1, 3] and series['D'][1].tolist() == [1, 4] and left_out == 1
