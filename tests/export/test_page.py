"""ugatit_jax.export --page: what the page computes in headless Chromium is what JAX computes, and nothing leaves it."""

import base64
import functools
import gzip
import http.server
import io
import json
import os
import pathlib
import shutil
import threading
import time

import numpy as np
import pytest
from PIL import Image

import ugatit_jax
from tests.helpers.browser import be_a_phone, chromium, requested, scrolls_sideways
from tests.helpers.image_files import encoded, smooth
from tests.helpers.translation import write_checkpoint
from ugatit_jax.common.errors import UserError
from ugatit_jax.common.files import cache_folder
from ugatit_jax.data.preprocess import resize
from ugatit_jax.export import web_page, web_runtime
from ugatit_jax.export.__main__ import main

BOUND = 2  # of 255
WAIT = 90  # seconds: the machine may be busy
SOURCE = """
const image = document.getElementById('result'), canvas = document.createElement('canvas');
[canvas.width, canvas.height] = [image.naturalWidth, image.naturalHeight];
canvas.getContext('2d').drawImage(image, 0, 0);
return canvas.toDataURL();
"""


@pytest.fixture(scope='module')
def runtime():
    """The real runtime's files, from npm or from what it left in the cache."""
    kept = cache_folder() / f'{web_runtime.PACKAGE}-{web_runtime.VERSION}.tgz'
    if not kept.is_file() and shutil.which('npm') is None:
        pytest.skip('onnxruntime-web is not in the cache, and npm, which would get it, is not installed')
    try:
        return web_runtime.runtime_files()
    except UserError as error:
        pytest.skip(str(error))


@pytest.fixture(scope='module')
def workdir(tmp_path_factory):
    # one halving: sides are multiples of 2, not of the 4 of most models
    return write_checkpoint(tmp_path_factory.mktemp('w') / 'run', data__source='emoji', model__n_down=1)


class Page:
    """A page in a folder, served by http.server, and what to do with it in a browser."""

    def __init__(self, folder: pathlib.Path, browser: object):
        self.types, page = {}, self

        class Handler(http.server.SimpleHTTPRequestHandler):
            def end_headers(self) -> None:
                headers = b''.join(self._headers_buffer).decode()
                if kind := headers.partition('Content-type: ')[2].partition('\r\n')[0]:  # 304 has none
                    page.types[self.path.partition('?')[0]] = kind
                super().end_headers()

            def log_message(self, *arguments: object) -> None:
                pass

        handler = functools.partial(Handler, directory=str(folder))
        self.server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url, self.browser = f'http://127.0.0.1:{self.server.server_port}/', browser

    def open(self) -> None:
        self.browser.get(self.url)
        self.wait('Ready')

    def wait(self, *beginnings: str) -> str:
        """The status, once it begins so."""
        end = time.monotonic() + WAIT
        while not (text := self.browser.find_element('id', 'status').text).startswith(beginnings):
            assert time.monotonic() < end, text
            time.sleep(0.1)
        return text

    def take(self, path: pathlib.Path) -> str:
        self.browser.execute_script("document.getElementById('status').textContent = ''")
        self.browser.find_element('id', 'file').send_keys(str(path))
        return self.wait('Translated', 'That', 'The image', 'It failed')

    def result(self) -> np.ndarray:
        content = base64.b64decode(self.browser.execute_script(SOURCE).partition(',')[2])
        return np.asarray(Image.open(io.BytesIO(content)).convert('RGB'))

    def note(self) -> str:
        return self.browser.find_element('id', 'note').text


@pytest.fixture(scope='module')
def browser():
    with chromium('--use-fake-device-for-media-stream', '--use-fake-ui-for-media-stream') as driver:
        yield driver


@pytest.fixture(scope='module')
def page(workdir, runtime, browser, tmp_path_factory):
    to = tmp_path_factory.mktemp('p') / 'page'
    lines = web_page.export_page(workdir, str(to))
    assert 'a visitor downloads ' in lines[3] and all('largest difference from JAX' in line for line in lines[1:3])
    page = Page(to, browser)
    yield page
    page.server.shutdown()
    page.server.server_close()


def differs(a: np.ndarray, b: np.ndarray) -> int:
    assert a.shape == b.shape
    return int(np.abs(a.astype(int) - b).max())


def test_the_page_translates_as_jax_does(page, browser, workdir, tmp_path):
    """Both directions and all sizes, at a desktop's and at a phone's width."""
    be_a_phone(browser, False)
    requested(browser)
    page.open()
    (tmp_path / 'x.png').write_bytes(encoded(image := smooth(89, 49)))
    assert page.take(tmp_path / 'x.png') == 'Translated by the processor.'
    assert differs(page.result(), ugatit_jax.load(workdir)(image)) <= BOUND
    assert not scrolls_sideways(browser)
    be_a_phone(browser)
    translator = ugatit_jax.load(workdir, 'b2a')
    for selector, size in (
        ('input[value=b2a]', 'train'),
        ('option[value="32"]', 32),
        ('option[value=original]', 'original'),
    ):
        browser.find_element('css selector', selector).click()
        page.wait('Translated')
        assert differs(page.result(), translator(image, size=size)) <= BOUND
    assert browser.find_element('id', 'save').get_attribute('download') == 'translated_b2a.png'
    assert browser.execute_script('return window.innerWidth') == 390 and not scrolls_sideways(browser)
    colours = []
    for scheme in ('light', 'dark'):
        features = {'features': [{'name': 'prefers-color-scheme', 'value': scheme}]}
        browser.execute_cdp_cmd('Emulation.setEmulatedMedia', features)
        colours.append(browser.execute_script('return getComputedStyle(document.body).backgroundColor'))
    assert colours == ['rgb(255, 255, 255)', 'rgb(21, 24, 27)']
    assert all(url.startswith((page.url, f'blob:{page.url}', 'data:')) for url in requested(browser))
    assert [entry for entry in browser.get_log('browser') if entry['level'] == 'SEVERE'] == []


@pytest.mark.slow
def test_a_large_image_is_reduced_which_is_said(page, browser, workdir, tmp_path):
    """6000 x 4000 pixels, and meanwhile the page answers."""
    be_a_phone(browser, False)
    page.open()
    large = smooth(4000, 6000)
    Image.fromarray(large).save(tmp_path / 'x.jpg', quality=95, subsampling=0)
    browser.execute_script(
        'window.longest = 0; let last = performance.now();'
        'setInterval(() => { const now = performance.now(); longest = Math.max(longest, now - last); last = now; }, 20)'
    )
    assert page.take(tmp_path / 'x.jpg').startswith('Translated')
    assert browser.execute_script('return longest') < 2000  # milliseconds; the other process may have the core
    assert 'The image has 6000 x 4000 pixels; the result is reduced to 2048 x 1365.' in page.note()
    translator = ugatit_jax.load(workdir)
    fitted = translator.fit_image(np.asarray(Image.open(tmp_path / 'x.jpg')))
    out = translator.run(fitted.pixels[None]).image[0]
    expected = resize(out, 2048, 1365, resample=Image.Resampling.BICUBIC)
    assert differs(page.result(), np.clip(expected, out.min(), out.max())) <= BOUND


def test_a_file_that_is_no_image_is_one_line_and_the_next_one_works(page, browser, workdir, tmp_path):
    page.open()
    (tmp_path / 'x.png').write_text('no image')
    assert page.take(tmp_path / 'x.png') == 'That is not an image that this browser can read.'
    assert not browser.find_element('id', 'result').is_displayed()
    rgba = np.dstack([smooth(40, 40), np.full((40, 40), 255, np.uint8)])
    rgba[:20, :, 3] = 0  # over the background of the config
    (tmp_path / 'y.png').write_bytes(encoded(rgba))
    assert page.take(tmp_path / 'y.png').startswith('Translated')
    white = np.where(rgba[..., 3:] == 0, 255, rgba[..., :3]).astype(np.uint8)
    assert differs(page.result(), ugatit_jax.load(workdir)(white)) <= BOUND


@pytest.mark.slow
def test_drawings_dropped_and_pasted_images_and_the_camera(page, browser, workdir):
    from selenium.webdriver import ActionChains

    page.open()
    browser.find_element('id', 'draw').click()
    canvas = browser.find_element('id', 'canvas')
    ActionChains(browser).click_and_hold(canvas).move_by_offset(60, 40).release().perform()
    drawn = browser.execute_script("return document.getElementById('canvas').toDataURL()")
    image = np.asarray(Image.open(io.BytesIO(base64.b64decode(drawn.partition(',')[2]))).convert('RGB'))
    assert len(np.unique(image.reshape(-1, 3), axis=0)) > 1
    browser.find_element('id', 'drawn').click()
    page.wait('Translated')
    assert differs(page.result(), ugatit_jax.load(workdir)(image)) <= BOUND
    for kind in ('drop', 'paste'):
        browser.execute_script(
            """
            document.getElementById('status').textContent = '';
            const [kind, text] = arguments, bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
            const data = new DataTransfer();
            data.items.add(new File([bytes], 'x.png', { type: 'image/png' }));
            const event = kind === 'drop' ? new DragEvent(kind, { dataTransfer: data, bubbles: true, cancelable: true })
              : new ClipboardEvent(kind, { clipboardData: data, bubbles: true });
            document.getElementById('place').dispatchEvent(event);
            """,
            kind,
            base64.b64encode(encoded(given := smooth(30, 40, seed=len(kind)))).decode(),
        )
        page.wait('Translated')
        assert differs(page.result(), ugatit_jax.load(workdir)(given)) <= BOUND
    browser.find_element('id', 'camera').click()
    end = time.monotonic() + WAIT
    while not browser.execute_script("return document.getElementById('video').videoWidth"):
        assert time.monotonic() < end, browser.find_element('id', 'status').text
    browser.execute_script("document.getElementById('status').textContent = ''")
    browser.find_element('id', 'shoot').click()
    page.wait('Translated')
    assert browser.execute_script("return document.getElementById('video').srcObject") is None  # it is off


def test_types_of_http_server_and_no_other_host(page, browser, tmp_path):
    """The security policy is at work in the worker, too: another host is asked for nothing."""
    page.open()
    assert page.types['/'] == 'text/html' and page.types['/page.css'] == 'text/css'
    assert all(page.types[f'/{name}'].endswith('javascript') for name in ('page.js', 'worker.js', 'ort.wasm.bundle.min.mjs'))
    assert page.types['/ort-wasm-simd-threaded.wasm.gz'] == 'application/gzip'
    (tmp_path / 'index.html').write_text('<!doctype html><title>x</title>')
    other = Page(tmp_path, browser)
    ask = """
        const [url, done] = arguments;
        const source = `fetch('${url}?worker', { mode: 'no-cors' }).catch(() => 0).finally(() => postMessage(0))`;
        const worker = new Worker(URL.createObjectURL(new Blob([source], { type: 'text/javascript' })), { type: 'module' });
        worker.onmessage = () => fetch(url, { mode: 'no-cors' }).catch(() => 0).finally(() => done());
    """
    browser.execute_async_script(ask, f'{other.url}index.html')
    assert other.types == {}
    browser.get(other.url)  # which has no policy
    browser.execute_async_script(ask, f'{other.url}index.html')
    assert '/index.html' in other.types
    other.server.shutdown()
    other.server.server_close()


def test_a_page_is_replaced_only_when_asked(workdir, tmp_path, capsys, monkeypatch):
    """A runtime of a few bytes: nothing runs here."""
    monkeypatch.setattr(web_page, 'runtime_files', lambda place: {name: name.encode() for name in web_runtime.FILES})
    to = tmp_path / 'new' / 'page'
    flags = [f'--checkpoint={workdir}', f'--to={to}', '--page', '--direction=b2a']
    assert main(flags) == 0
    printed = capsys.readouterr().out
    assert f'wrote {to}: a page with step 7 ema' in printed and f'python -m http.server --directory={to}' in printed
    assert sorted(os.listdir(to)) == sorted(
        [
            *web_page.SOURCES,
            'model.json',
            'b2a.onnx',
            *(f'{name}.gz' if name.endswith('.wasm') else name for name in web_runtime.FILES),
        ]
    )
    assert gzip.decompress((to / 'ort-wasm-simd-threaded.wasm.gz').read_bytes()) == b'ort-wasm-simd-threaded.wasm'
    about = json.loads((to / 'model.json').read_text())
    assert list(about['models']) == ['b2a'] and about['image_size'] == 16 and about['step'] == 7
    (to / 'mine.txt').write_text('mine')
    assert main(flags) == 2 and 'add --overwrite' in capsys.readouterr().err
    assert main([*flags, '--overwrite', '--dtype=float32']) == 0 and not (to / 'mine.txt').exists()
    assert os.listdir(to.parent) == ['page']
    (tmp_path / 'other').mkdir()
    assert main([*flags[:1], f'--to={tmp_path}/other', '--page', '--overwrite']) == 2
    assert 'is no page of this command' in capsys.readouterr().err

    def wrong(path):
        return lambda images: images * 0

    from ugatit_jax.export import onnx_file

    monkeypatch.setattr(onnx_file, 'load', wrong)
    assert main([*flags, '--overwrite']) == 2 and '; at most 1 is allowed' in capsys.readouterr().err
    assert os.listdir(to.parent) == ['page'] and web_page.is_page(str(to))


def test_flags_that_do_not_work_are_one_line(workdir, tmp_path, capsys, monkeypatch):
    def error(to: str, *flags: str) -> str:
        assert main([f'--checkpoint={workdir}', f'--to={tmp_path / to}', *flags]) == 2
        line = capsys.readouterr().err.removeprefix(
            'downloading onnxruntime-web 1.30.0, for the first time on this machine\n'
        )
        assert line.startswith('ugatit_jax: ') and line.count('\n') == 1
        return line

    assert 'name the folder, and add --page' in error('x.html')
    assert '--page writes a folder' in error('x.onnx', '--page')
    assert '--runtime is for pages' in error('x', '--runtime=y')
    assert '--size is for files, such as x.onnx, and' in error('x', '--page', '--size=32')
    assert '--dtype=int8: a page has float32 or float16' in error('x', '--page', '--dtype=int8')
    assert 'cannot be read: No such file' in error('x', '--page', f'--runtime={tmp_path}/none.tgz')
    (tmp_path / 'a.tgz').write_bytes(b'no tarball')
    assert 'its SHA-512 differs' in error('x', '--page', f'--runtime={tmp_path}/a.tgz')
    assert 'there is no onnxruntime-web in it' in error('x', '--page', f'--runtime={tmp_path}')
    dist = tmp_path / 'node_modules' / 'onnxruntime-web' / 'dist'
    dist.mkdir(parents=True)
    for name in web_runtime.FILES:
        (dist / name).write_text('other')
    assert 'its SHA-256 differs' in error('x', '--page', f'--runtime={tmp_path}')
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))
    monkeypatch.setenv('PATH', str(tmp_path))
    assert 'npm, which would get it, is not installed; hint: --runtime=PLACE' in error('x', '--page')
    (tmp_path / 'npm').write_text('#!/bin/sh\necho "no network" >&2\nexit 1\n')
    (tmp_path / 'npm').chmod(0o755)
    monkeypatch.setenv('PATH', f'{tmp_path}:/bin:/usr/bin')
    assert 'npm cannot get onnxruntime-web 1.30.0: no network; hint' in error('x', '--page')
    assert not (tmp_path / 'x').exists()
    rgba = write_checkpoint(tmp_path / 'rgba', data__channels_B=4)
    assert 'images of 4 channels' in error('x', '--page', f'--checkpoint={rgba}')


def test_a_folder_of_npm_is_taken(runtime, tmp_path):
    dist = tmp_path / 'onnxruntime-web' / 'dist'
    dist.mkdir(parents=True)
    for name, content in runtime.items():
        (dist / name).write_bytes(content)
    for place in (tmp_path, tmp_path / 'onnxruntime-web', dist):
        assert web_runtime.runtime_files(str(place)) == runtime


def test_a_slash_writes_weights_and_says_so(workdir, tmp_path, capsys):
    assert main([f'--checkpoint={workdir}', f'--to={tmp_path}/x/']) == 0
    assert '--page writes a web page instead' in capsys.readouterr().out
    assert (tmp_path / 'x' / 'genA2B.safetensors').is_file()
