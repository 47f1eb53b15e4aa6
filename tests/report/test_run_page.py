"""The page of a run: made from damaged, long and unfinished workdirs, and driven in a browser."""

import json
import logging
import re
import shutil

import numpy as np
import pytest

from tests.helpers.browser import chromium
from tests.helpers.run_workdir import COLOURS, config_of, make_workdir, short_row_of
from tests.helpers.translation import write_checkpoint
from ugatit_jax.report import history
from ugatit_jax.report.run_page import write_run_page
from ugatit_jax.run_page import main


def test_a_running_run(tmp_path):
    folder = make_workdir(tmp_path / 'run', range(10, 101, 10))
    text = write_run_page(str(folder)).read_text()
    assert 'running: step 100 of 200' in text and 'left when this was written' in text
    assert text.count('<figure>') == len(re.findall('<svg role="img"', text)) == 19  # all panels, two of rho
    assert 'python -m ugatit_jax.main --config=&lt;b&gt; --workdir=run' in text and '<b>&' not in text and '4 x TPU' in text
    assert '1 of ' in text and text.count('<tr class="changed">') == 1 and '1000000' in text  # training.steps
    assert 'src="http' not in text and 'href="http' not in text


def test_how_it_ended(tmp_path):
    folder = make_workdir(tmp_path / 'run', range(10, 101, 10), short_row_of)
    history.append(str(folder), 100, 'stopped', reason='G_A is nan')
    assert 'stopped: step 100 of 200</strong> &middot; G_A is nan' in write_run_page(str(folder)).read_text()
    history.append(str(folder), 100, 'resumed', config=config_of(steps=100, log_every=7))
    history.append(str(folder), 100, 'finished')
    text = write_run_page(str(folder)).read_text()
    assert 'finished: step 100 of 100' in text and 'training.log_every 100 -&gt; 7' in text


def test_damaged_files_are_left_out_with_a_note(tmp_path):
    folder = make_workdir(tmp_path / 'run', range(10, 101, 10))
    with (folder / 'metrics.jsonl').open('ab') as file:
        file.write(b'\xff\xfe\n[1]\n{"step": "x"}\n')
        file.write(b'{"step": 110, "D_A": NaN, "G_A": "?", "rho_mean/genA2B/up_norm_1": 0.5}\n{"step"')
    with (folder / 'history.jsonl').open('a') as file:
        file.write('{"step": 3}\n{"event": "fini')
    (folder / 'previews' / '00000050.png').write_bytes((folder / 'previews' / '00000050.png').read_bytes()[:60])
    (folder / 'previews' / '00000051.png').write_bytes(b'')
    (folder / 'previews' / 'notes.txt').write_text('mine')
    text = write_run_page(str(folder)).read_text()
    assert '4 damaged lines' in text and '2 values that' in text and '2 previews could not' in text
    assert text.count('<img ') == 2 and text.count('<svg role="img"') == 19
    for name in ('metrics.jsonl', 'history.jsonl'):
        (folder / name).unlink()
    shutil.rmtree(folder / 'previews')
    assert main([str(folder)]) == 2 and (folder / 'report.html').read_text() == text


def test_a_checkpoint_alone_has_its_step(tmp_path):
    """As ugatit_jax.convert writes it."""
    write_checkpoint(folder := tmp_path / 'run')
    assert [path.name for path in folder.iterdir()] == ['checkpoints']
    assert 'step 7 of 1,000,000</strong> &middot; how it ended was not recorded' in write_run_page(str(folder)).read_text()


def test_a_folder_without_a_run_is_an_error_and_left_alone(tmp_path, capsys):
    assert main([str(tmp_path)]) == 2
    assert 'it is not the workdir of a run' in capsys.readouterr().err and not list(tmp_path.iterdir())
    assert main([str(tmp_path / 'nowhere')]) == 2 and not (tmp_path / 'nowhere').exists()
    assert logging.getLogger('gcsfs').level == logging.CRITICAL  # whose pages of tracebacks are one line of ours


@pytest.fixture(scope='module')
def browser():
    """Headless Chromium."""
    with chromium() as driver:
        yield driver


def test_in_a_browser(browser, tmp_path):
    from selenium.webdriver.common.keys import Keys
    from selenium.webdriver.support.ui import WebDriverWait

    folder = make_workdir(tmp_path / 'run', range(10, 101, 10))
    browser.get(write_run_page(str(folder)).as_uri())

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
    browser.set_window_size(1300, 900)  # previews are as large as the page is wide, four fifths of it at least
    assert browser.find_element('css selector', '#sheets img:not([hidden])').size['width'] > 1000
    background = 'return getComputedStyle(document.body).backgroundColor'
    assert browser.execute_script(background) == 'rgb(255, 255, 255)'
    dark = {'features': [{'name': 'prefers-color-scheme', 'value': 'dark'}]}
    browser.execute_cdp_cmd('Emulation.setEmulatedMedia', dark)
    assert browser.execute_script(background) == 'rgb(21, 24, 27)'

    messages = [json.loads(entry['message'])['message'] for entry in browser.get_log('performance')]
    requests = [m['params']['request']['url'] for m in messages if m['method'] == 'Network.requestWillBeSent']
    assert requests and all(url.startswith(('file://', 'data:')) for url in requests)
    assert browser.get_log('browser') == []
