"""The page of a run: made from damaged, long and unfinished workdirs, and driven in a browser."""

import json
import pathlib
import re
import shutil

import numpy as np
import pytest
from PIL import Image

from configs import default
from ugatit_jax.checkpoint.compatibility import as_json
from ugatit_jax.config.resolve import resolve
from ugatit_jax.report import history, run_page
from ugatit_jax.report.curves import POINTS, smooth, thin
from ugatit_jax.report.panels import columns_of
from ugatit_jax.run_page import main

LAYERS = ('decoder_0_norm_0', 'up_norm_1')
COLOURS = {0: (200, 30, 30), 50: (30, 200, 30), 100: (30, 30, 200)}


def config_of(**training: object) -> dict:
    """A resolved config as a run records it."""
    config = default.get_config()
    config.training.update(training)
    return as_json(resolve(config))


def row_of(step: int) -> dict:
    """Every kind of metric at a step."""
    terms = [
        'D',
        'G',
        'D_A',
        'D_B',
        'G_A',
        'G_B',
        'D_ad_GA',
        'D_cam_LB',
        'G_ad_GA',
        'G_adcam_LB',
        'G_recon_A',
        'G_id_B',
        'G_cam_A',
        'learning_rate',
        'grad_norm_genA2B',
        'grad_norm_disLB',
        'images_per_second',
        'eval_kid_A2B',
        'something_else',
    ]
    row = {'step': step} | {name: 1 + i + np.sin(step + i) for i, name in enumerate(terms)} | {'data_wait': 0.125}
    for layer in LAYERS:
        row |= {f'rho_{kind}/genA2B/{layer}': value for kind, value in (('min', 0.1), ('mean', 0.5), ('max', 0.9))}
    return row


def short_row_of(step: int) -> dict:
    """One metric, where the curves do not matter."""
    return {'step': step, 'D_A': 1 / step}


def make_workdir(folder: pathlib.Path, steps: range, row=row_of) -> pathlib.Path:
    """A workdir as a run leaves it, but for the checkpoints."""
    (folder / 'previews').mkdir(parents=True)
    (folder / 'metrics.jsonl').write_text(''.join(json.dumps(row(step)) + '\n' for step in steps))
    for step, colour in COLOURS.items():
        Image.new('RGB', (120, 80), colour).save(folder / 'previews' / f'{step:08d}.png')
    history.append(
        str(folder),
        0,
        'started',
        config=config_of(steps=200),
        command='python -m ugatit_jax.main --workdir=<b>',
        versions={'jax': '1.2.3'},
        devices='4 x TPU',
    )
    return folder


def test_a_running_run(tmp_path):
    folder = make_workdir(tmp_path / 'run', range(10, 101, 10))
    text = run_page.write(str(folder)).read_text()
    assert 'running: step 100 of 200' in text and 'left when this was written' in text
    assert text.count('<figure>') == len(re.findall('<svg role="img"', text)) == 19  # all panels, two of rho
    assert 'python -m ugatit_jax.main --workdir=&lt;b&gt;' in text and '<b>&' not in text and '4 x TPU' in text
    assert '1 of ' in text and text.count('<tr class="changed">') == 1 and '1000000' in text  # training.steps
    assert 'src="http' not in text and 'href="http' not in text


def test_how_it_ended(tmp_path):
    folder = make_workdir(tmp_path / 'run', range(10, 101, 10), short_row_of)
    history.append(str(folder), 100, 'stopped', reason='G_A is nan')
    assert 'stopped: step 100 of 200</strong> &middot; G_A is nan' in run_page.write(str(folder)).read_text()
    history.append(str(folder), 100, 'resumed', config=config_of(steps=100, log_every=7))
    history.append(str(folder), 100, 'finished')
    text = run_page.write(str(folder)).read_text()
    assert 'finished: step 100 of 100' in text and 'training.log_every 100 -&gt; 7' in text


def test_damaged_files_are_left_out_and_said(tmp_path):
    folder = make_workdir(tmp_path / 'run', range(10, 101, 10))
    with (folder / 'metrics.jsonl').open('ab') as file:
        file.write(b'\xff\xfe\n[1]\n{"step": "x"}\n')
        file.write(b'{"step": 110, "D_A": NaN, "G_A": "?", "rho_mean/genA2B/up_norm_1": 0.5}\n{"step"')
    with (folder / 'history.jsonl').open('a') as file:
        file.write('{"step": 3}\n{"event": "fini')
    (folder / 'previews' / '00000050.png').write_bytes((folder / 'previews' / '00000050.png').read_bytes()[:60])
    (folder / 'previews' / '00000051.png').write_bytes(b'')
    (folder / 'previews' / 'notes.txt').write_text('mine')
    text = run_page.write(str(folder)).read_text()
    assert '4 damaged lines' in text and '2 values that' in text and '2 previews could not' in text
    assert text.count('<img ') == 2 and text.count('<svg role="img"') == 19
    for name in ('metrics.jsonl', 'history.jsonl'):
        (folder / name).unlink()
    shutil.rmtree(folder / 'previews')
    assert main([str(folder)]) == 2 and (folder / 'report.html').read_text() == text


def test_a_folder_that_is_no_run_is_refused_and_left_alone(tmp_path, capsys):
    assert main([str(tmp_path)]) == 2
    assert 'it is no workdir of a run' in capsys.readouterr().err and not list(tmp_path.iterdir())
    assert main([str(tmp_path / 'nowhere')]) == 2 and not (tmp_path / 'nowhere').exists()


def test_the_page_is_replaced_whole_or_not_at_all(tmp_path, monkeypatch, caplog):
    folder = make_workdir(tmp_path / 'run', range(10, 31, 10), short_row_of)
    page = run_page.write(str(folder))
    before = page.read_text()

    def full(self, text, encoding):
        with open(self, 'w', encoding=encoding) as file:
            file.write(text[:100])
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr(type(page), 'write_text', full)
    with pytest.raises(OSError, match='No space'):
        run_page.write(str(folder))
    writer = run_page.PageWriter(str(folder))
    writer.refresh()
    writer.close()
    assert 'No space left' in caplog.text and page.read_text() == before
    assert sorted(path.name for path in folder.iterdir()) == ['history.jsonl', 'metrics.jsonl', 'previews', 'report.html']


def test_thinning_keeps_extremes_means_and_the_last_step():
    steps, values = np.arange(1.0, 10_001), np.random.default_rng(0).normal(size=10_000)
    values[5000] = 99
    line = thin(steps, values)
    assert len(line.steps) == POINTS and line.steps[-1] == 10_000 and (np.diff(line.steps) > 0).all()
    assert line.high.max() == 99 and line.low.min() == values.min()
    assert (line.low <= line.mean).all() and (line.mean <= line.high).all()
    few = thin(steps[:7], values[:7])
    assert (few.mean == values[:7]).all() and (few.low == few.high).all() and (few.steps == steps[:7]).all()
    np.testing.assert_allclose(smooth(np.full(50, 3.0)), 3)
    assert smooth(values).std() < 0.4 * values.std()


def test_rows_in_any_order_and_twice():
    columns, left_out = columns_of([{'step': 3, 'D': 3}, {'step': 1, 'D': 1, 'x': None}, {'step': 3, 'D': 4}])
    assert columns['D'][0].tolist() == [1, 3] and columns['D'][1].tolist() == [1, 4] and left_out == 1


@pytest.mark.parametrize('count', [0, 1, 39, 40, 41, 79, 80, 1001])
def test_previews_are_spread_over_the_run(count):
    chosen = run_page.spread(list(range(count)))
    assert len(chosen) == min(count, len(chosen)) <= 40 and chosen == sorted(set(chosen))
    assert len(chosen) > 19 or len(chosen) == count
    if count:
        assert chosen[0] == 0 and chosen[-1] == count - 1
        assert max(np.diff(chosen), default=0) <= 2 * count / 40 + 1


def test_large_previews_are_made_smaller(tmp_path):
    noise = np.random.default_rng(0).integers(0, 255, (40, 50, 3), np.uint8)
    path = tmp_path / 'big.png'
    Image.fromarray(noise).resize((1564, 2112)).save(path)
    uri, width = run_page.as_jpeg(str(path), 0)
    assert width == round(1564 * 1280 / 2112) and uri.startswith('data:image/jpeg') and len(uri) < 500_000


@pytest.fixture(scope='module')
def browser():
    """Headless Chromium."""
    from selenium import webdriver

    binaries = [shutil.which(name) for name in ('chromium', 'chromium-browser', 'google-chrome')]
    driver = shutil.which('chromedriver')
    if not any(binaries) or not driver:
        pytest.skip('no Chromium with its chromedriver here (Debian: chromium chromium-driver)')
    options = webdriver.ChromeOptions()
    options.binary_location = next(filter(None, binaries))
    for flag in ('--headless=new', '--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage'):
        options.add_argument(flag)
    options.set_capability('goog:loggingPrefs', {'browser': 'ALL', 'performance': 'ALL'})
    browser = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    yield browser
    browser.quit()


def test_in_a_browser(browser, tmp_path):
    from selenium.webdriver.common.keys import Keys
    from selenium.webdriver.support.ui import WebDriverWait

    folder = make_workdir(tmp_path / 'run', range(10, 101, 10))
    browser.get(run_page.write(str(folder)).as_uri())

    def visible() -> list[str]:
        return [
            image.get_attribute('data-step')
            for image in browser.find_elements('css selector', '#sheets img')
            if image.is_displayed()
        ]

    def colour() -> list[int]:
        return browser.execute_script(
            "const image = document.querySelector('#sheets img:not([hidden])'), canvas = document.createElement('canvas');"
            "const context = canvas.getContext('2d'); context.drawImage(image, 0, 0);"
            'return [...context.getImageData(20, 20, 1, 1).data].slice(0, 3)'
        )

    slider, shown = browser.find_element('id', 'slider'), browser.find_element('id', 'shown')
    play = browser.find_element('id', 'play')
    assert visible() == ['100'] and shown.text == 'step 100 (3 of 3)'
    np.testing.assert_allclose(colour(), COLOURS[100], atol=6)
    slider.send_keys(Keys.ARROW_LEFT)
    assert visible() == ['50'] and shown.text == 'step 50 (2 of 3)'
    np.testing.assert_allclose(colour(), COLOURS[50], atol=6)
    slider.send_keys(Keys.HOME)
    assert visible() == ['0'] and shown.text == 'step 0 (1 of 3)'
    assert slider.get_attribute('aria-valuetext') == 'step 0'
    play.click()
    WebDriverWait(browser, 30).until(lambda _: visible() == ['100'] and play.text == 'Play')

    curves = browser.find_elements('css selector', 'figure svg')
    assert len(curves) == 19 and all(curve.size['width'] > 100 and curve.size['height'] > 50 for curve in curves)
    assert len(browser.find_elements('css selector', 'figure svg path')) > 100
    browser.set_window_size(400, 800)
    assert browser.execute_script('return document.documentElement.scrollWidth <= window.innerWidth')

    messages = [json.loads(entry['message'])['message'] for entry in browser.get_log('performance')]
    requests = [m['params']['request']['url'] for m in messages if m['method'] == 'Network.requestWillBeSent']
    assert requests and all(url.startswith(('file://', 'data:')) for url in requests)
    assert browser.get_log('browser') == []
