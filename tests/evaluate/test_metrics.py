"""Names and formats of metrics."""

import pytest

from ugatit_jax.evaluate.metrics import METRICS, MetricValue, flatten_metrics, format_metric, metric_names


def test_metrics_by_name_and_direction():
    metrics = {'A2B': {'kid': MetricValue(0.02, 0.01)}, 'B2A': {'kid': MetricValue(0.04)}}
    assert flatten_metrics(metrics) == pytest.approx({'kid': 0.03, 'kid_A2B': 0.02, 'kid_B2A': 0.04})
    assert flatten_metrics(metrics).keys() <= set(metric_names())
    assert {name.removesuffix('_A2B').removesuffix('_B2A') for name in metric_names()} < METRICS.keys()
    assert format_metric('kid', metrics['A2B']['kid']) == '2.000 +- 1.000'
    assert format_metric('fid', MetricValue(12.345)) == '12.35' and format_metric('fid', None) == '-'
