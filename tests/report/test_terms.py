"""The terms that a person follows."""

import pytest

from ugatit_jax.report.panels import key_figures, metric_series
from ugatit_jax.report.terms import mean_terms

ROW = {
    'D_ad_GA': 0.1,
    'D_ad_GB': 0.2,
    'D_ad_LA': 0.3,
    'D_ad_LB': 0.4,
    'D_A': 7.0,
    'G_ad_GA': 0.5,
    'G_adcam_GA': 9.0,
    'G_recon_A': 0.25,
    'G_recon_B': 0.35,
    'G_cam_B': 1.39,
    'D_cam_GA': 8.0,
    'G_A': 1349.999,
    'G': 2700.0,
}
MEANS = {'D_ad': 0.25, 'G_ad': 0.5, 'G_recon': 0.3, 'G_cam': 1.39}


def test_terms_are_unweighted_means_of_what_is_there():
    assert mean_terms(ROW) == pytest.approx(MEANS) and mean_terms({'D': 1.0, 'G_A': 1.0}) == {}


def test_key_figures_of_the_page_are_those_terms_of_the_last_rows_and_the_speed():
    rows = [{'step': step} | {name: 100.0 for name in ROW} for step in (1, 2)]
    rows += [{'step': 2 + i} | ROW | {'images_per_second': 2.0, 'data_wait': 0.125} for i in range(1, 11)]
    figures, count = key_figures(metric_series(rows)[0])
    assert count == 10 and {figure['name']: figure['value'] for figure in figures} == {
        'D_ad': '0.25',
        'G_ad': '0.5',
        'G_recon': '0.3',
        'G_cam': '1.39',
        'images/s': '2',
        'data_wait': '12.5%',
    }
    assert all(figure['text'] for figure in figures)
    assert key_figures({}) == ([], 0)
