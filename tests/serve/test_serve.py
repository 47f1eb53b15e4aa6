"""python -m ugatit_jax.serve: the real server, and its page in headless Chromium."""

import base64
import contextlib
import importlib.metadata
import importlib.util
import io
import json
import os
import pathlib
import re
import secrets
import socket
import struct
import subprocess
import sys
import urllib.error
import urllib.request
import zlib

import numpy as np
import pytest
from PIL import Image

import ugatit_jax
from tests.helpers.browser import be_a_phone, chromium, requested, scrolls_sideways
from tests.helpers.image_files import encoded, smooth
from tests.helpers.paths import ROOT
from tests.helpers.translation import write_checkpoint
from ugatit_jax.common.errors import UserError
from ugatit_jax.data.decode import DecodeError
from ugatit_jax.data.sources.emoji import Emoji
from ugatit_jax.serve import server
from ugatit_jax.serve.__main__ import main
from ugatit_jax.serve.examples import find_examples
from ugatit_jax.serve.model import Limits, ServedModel

needs_gradio = pytest.mark.skipif(
    importlib.util.find_spec('gradio') is None, reason='gradio is not installed: pip install -e .[serve]'
)
WAIT = 60  # seconds: the machine may be busy


@pytest.fixture(scope='module')
def workdir(tmp_path_factory):
    return write_checkpoint(tmp_path_factory.mktemp('w') / 'run', data__source='emoji')


def free_port() -> int:
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        return free.getsockname()[1]


class Served:
    """A running server: url, and its log when it has ended."""

    def __init__(self, workdir: str, folder: pathlib.Path, sign: str):
        port = free_port()
        self.temporary = folder
        self.process = subprocess.Popen(
            [
                *(sys.executable, '-m', 'ugatit_jax.serve', f'--checkpoint={workdir}', f'--port={port}', sign),
                *('--max_upload=0.2', '--max_pixels=0.4', '--max_side=100'),
            ],
            cwd=ROOT,
            env={**os.environ, 'TMPDIR': str(folder)},
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self.line = self.process.stdout.readline()
        self.url = f'http://127.0.0.1:{port}'

    def send(self, path: str, body: bytes | None = None, **headers: str) -> tuple[int, bytes]:
        """(status, body) of a request; POST where there is a body."""
        names = {name.replace('_', '-'): value for name, value in headers.items()}
        try:
            with urllib.request.urlopen(urllib.request.Request(self.url + path, body, names), timeout=WAIT) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()

    def status_of(self, header: str, part: bytes, times: int = 1) -> int:
        """The status of a POST with a header of its length and a body of parts, which need not be complete."""
        with socket.create_connection(('127.0.0.1', int(self.url.rpartition(':')[2])), timeout=WAIT) as connection:
            head = (
                f'POST /gradio_api/call/translate HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n{header}'
            )
            connection.sendall(f'{head}\r\n\r\n'.encode())
            with contextlib.suppress(ConnectionError):  # once it has answered
                for _ in range(times):
                    connection.sendall(part)
            return int(connection.recv(100).split()[1])

    def frame_error(self, url: object) -> str:
        """The error that a camera's frame is answered with."""
        calls = json.loads(self.send('/config')[1])['dependencies']
        stream = next(call['id'] for call in calls if call['targets'][0][1] == 'stream')
        session = secrets.token_hex(8)
        status, answer = self.post(
            'queue/join', {'data': [{'url': url}, 'a2b'], 'fn_index': stream, 'session_hash': session}
        )
        assert status == 200, answer
        with urllib.request.urlopen(f'{self.url}/gradio_api/queue/data?session_hash={session}', timeout=WAIT) as answer:
            messages = (json.loads(line[5:]) for line in answer if line.startswith(b'data:'))
            return next(message['output']['error'] for message in messages if message['msg'] == 'process_completed')

    def upload(self, content: bytes, name: str = 'x.png') -> tuple[int, bytes]:
        """Uploads a file as browsers do."""
        head = (
            f'--edge\r\nContent-Disposition: form-data; name="files"; filename="{name}"\r\nContent-Type: image/png\r\n\r\n'
        )
        body = head.encode() + content + b'\r\n--edge--\r\n'
        return self.send('/gradio_api/upload', body, Content_Type='multipart/form-data; boundary=edge')

    def translate(self, path: str, direction: str = 'a2b', size: str = 'train', heatmap: bool = False) -> tuple[str, str]:
        """(event, data) that the API's call ends with, for a file of the server."""
        return self.call([{'path': path, 'meta': {'_type': 'gradio.FileData'}}, direction, size, heatmap])

    def post(self, path: str, content: object) -> tuple[int, bytes]:
        """(status, body) of a POST of JSON."""
        return self.send(f'/gradio_api/{path}', json.dumps(content).encode(), Content_Type='application/json')

    def call(self, data: list) -> tuple[str, str]:
        """(event, data) that the API's call of these inputs ends with."""
        status, answer = self.post('call/translate', {'data': data})
        assert status == 200, answer
        stream = self.send(f'/gradio_api/call/translate/{json.loads(answer)["event_id"]}')[1].decode()
        return re.findall(r'event: (\w+)\ndata: (.*)', stream)[-1]


@pytest.fixture(scope='module')
def authority(tmp_path_factory):
    from tests.helpers.authority import Authority  # skips where c2pa-python is not installed

    return Authority(tmp_path_factory.mktemp('ca'))


@pytest.fixture(scope='module')
def served(workdir, authority, tmp_path_factory):
    served = Served(workdir, tmp_path_factory.mktemp('t'), '--sign={},{}'.format(*authority.issue('server')))
    try:
        assert f'at {served.url}/; Ctrl-C ends it' in served.line, served.process.communicate()
        yield served
        served.process.terminate()
        assert served.process.wait(WAIT) == 0
        errors = served.process.stderr.read()
        assert 'Traceback' not in errors, errors
        left = [path for path in served.temporary.rglob('*') if path.is_file()]
        assert not left  # uploads and results
        assert not list((ROOT / 'ugatit_jax').rglob('*.pyi'))  # gradio writes them beside modules with components
    finally:
        served.process.kill()
        served.process.communicate()


@pytest.fixture(scope='module')
def browser():
    with chromium() as driver:
        yield driver


def png_header(width: int, height: int) -> bytes:
    """A PNG that says it is so large, and has next to no data."""
    parts = [
        (b'IHDR', struct.pack('>IIBBBBB', width, height, 8, 2, 0, 0, 0)),
        (b'IDAT', zlib.compress(b'0')),
        (b'IEND', b''),
    ]
    chunks = [struct.pack('>I', len(data)) + tag + data + struct.pack('>I', zlib.crc32(tag + data)) for tag, data in parts]
    return b'\x89PNG\r\n\x1a\n' + b''.join(chunks)


def pixels(content: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(content)).convert('RGB'))


@needs_gradio
@pytest.mark.parametrize('phone', [False, True])
def test_an_image_goes_in_and_its_translation_comes_out(served, authority, browser, workdir, tmp_path, phone):
    from selenium.webdriver.support.ui import WebDriverWait

    image = smooth(40, 70, seed=phone)
    (tmp_path / 'in.png').write_bytes(encoded(image))
    be_a_phone(browser, phone)
    browser.get(served.url)
    wait = WebDriverWait(browser, WAIT)

    def found(selector: str) -> object:
        return wait.until(lambda _: next(iter(browser.find_elements('css selector', selector)), None))

    found('#given input[type=file]').send_keys(str(tmp_path / 'in.png'))
    found('#given img[src*="/file="]')
    if phone:
        found('input[value="b2a"]').click()
        found('input[type=checkbox]').click()
    found('#translate').click()
    source = found('#translated img[src*="/file="]').get_attribute('src')
    direction = 'b2a' if phone else 'a2b'
    assert f'translated_{direction}.png' in source
    content = served.send(source.removeprefix(served.url))[1]
    translator = ugatit_jax.load(workdir, direction)
    np.testing.assert_array_equal(pixels(content), translator(image))
    assert 'synthetic image' in Image.open(io.BytesIO(content)).text['Description']
    assert authority.signed_as('png', content) == 'trainedAlgorithmicMedia'
    if phone:
        heatmap = served.send(found('#heatmap img[src*="/file="]').get_attribute('src').removeprefix(served.url))[1]
        assert pixels(heatmap).shape == image.shape
        assert authority.signed_as('png', heatmap) == 'compositeWithTrainedAlgorithmicMedia'
    assert not scrolls_sideways(browser)
    assert browser.execute_script('return window.innerWidth') == (390 if phone else pytest.approx(1000, abs=900))
    assert all(url.startswith((served.url, 'data:', 'blob:', 'chrome:')) for url in requested(browser))


@needs_gradio
def test_a_camera_is_translated_while_it_runs(served, authority):
    """With the camera that Chromium makes up; frames come and go without a file."""
    from selenium.webdriver.support.ui import WebDriverWait

    with chromium('--use-fake-device-for-media-stream', '--use-fake-ui-for-media-stream') as browser:
        browser.get(served.url)
        wait = WebDriverWait(browser, WAIT)

        def click(selector: str) -> None:
            wait.until(lambda _: next(filter(shown, browser.find_elements('css selector', selector)), None)).click()

        def shown(element: object) -> bool:
            return element.is_displayed() and element.is_enabled()

        def live(other: str = '') -> str:
            source = 'return document.querySelector(\'#live img[src^="data:image/jpeg"]\')?.src'
            return wait.until(lambda _: (found := browser.execute_script(source)) != other and found)

        click('#camera_tab-button')
        click('#camera [title="grant webcam access"]')
        wait.until(lambda _: browser.execute_script('return document.querySelector("#camera video")?.readyState === 4'))
        click('#camera [title="start recording"]')
        first = live()
        second = live(first)  # the made-up camera's clock moves on
        assert all(url.startswith((served.url, 'data:', 'blob:', 'chrome:')) for url in requested(browser))
    for source in (first, second):
        content = base64.b64decode(source.partition(',')[2])
        assert 'synthetic image' in str(dict(Image.open(io.BytesIO(content)).getexif()))
        assert authority.signed_as('jpg', content) == 'trainedAlgorithmicMedia'
    assert pixels(content).shape[1] > pixels(content).shape[0] > 16


def test_frames_are_translated_as_images(workdir):
    served = ServedModel({'a2b': ugatit_jax.load(workdir)}, Limits(1000, 1000, 64))
    image = smooth(20, 30)
    made = pixels(served.translate_frame(encoded(image), 'a2b'))
    assert abs(made.astype(int) - ugatit_jax.load(workdir)(image)).mean() < 4  # JPEG
    with pytest.raises(UserError, match='direction b2a: this model has a2b'):
        served.translate_frame(encoded(image), 'b2a')
    with pytest.raises(DecodeError, match='60x60 pixels: at most 1,000 are accepted'):
        served.translate_frame(encoded(smooth(60, 60)), 'a2b')


@needs_gradio
def test_frames_of_a_camera_are_data_and_nothing_else():
    """A path or a URL would be read or fetched by the server."""
    import gradio as gr
    from gradio.data_classes import ImageData

    from ugatit_jax.serve.page import take_frames

    camera = gr.Image(sources=['webcam'], streaming=True)
    take_frames(camera)
    assert camera.preprocess(ImageData(url='data:image/jpeg;base64,AAEC')) == bytes([0, 1, 2])
    assert camera.preprocess(None) is None
    for url, path in (('https://example.com/x.jpg', None), (None, '/etc/passwd'), ('data:text/html;base64,AAEC', None)):
        with pytest.raises(gr.Error, match='a frame is sent as data'):
            camera.preprocess(ImageData(url=url, path=path))


@needs_gradio
def test_an_example_is_an_image_of_the_data(served, browser):
    from selenium.webdriver.support.ui import WebDriverWait

    be_a_phone(browser, False)
    browser.get(served.url)
    wait = WebDriverWait(browser, WAIT)
    wait.until(lambda _: browser.find_elements('id', 'example'))[0].click()
    source = wait.until(lambda _: browser.find_elements('css selector', '#given img[src*="/file="]'))[0].get_attribute('src')
    emoji = Emoji('A', 'test', 16, 3, (255, 255, 255))
    drawn = pixels(served.send(source.removeprefix(served.url))[1])
    assert any(np.array_equal(drawn, emoji.read(i)) for i in range(len(emoji)))


@needs_gradio
def test_files_of_other_sizes_and_kinds(served, workdir):
    assert served.upload(bytes(300_000))[0] == 413
    assert served.status_of('Content-Length: 1300000', b'') == 413  # before anything is sent
    assert served.status_of('Transfer-Encoding: chunked', b'40000\r\n' + bytes(0x40000) + b'\r\n', times=6) == 413

    def uploaded(content: bytes) -> str:
        status, answer = served.upload(content)
        assert status == 200
        return json.loads(answer)[0]

    def error(content: bytes, **options) -> str:
        event, text = served.translate(uploaded(content), **options)
        assert event == 'error'
        return text

    assert '5000x5000 pixels: at most 400,000 are accepted' in error(png_header(5_000, 5_000))  # not 'damaged': undecoded
    assert 'a decompression bomb' in error(png_header(60_000, 60_000))
    assert 'not an image but text' in error(b'no image')
    assert 'damaged' in error(encoded(smooth(50, 50))[:600])
    assert '120x100 pixels, and at its own size at most 10,000' in error(encoded(smooth(100, 120)), size='original')
    assert 'sideways' in error(encoded(smooth(20, 20)), direction='sideways')
    assert '4096' in error(encoded(smooth(20, 20)), size='4096')
    image = smooth(30, 50)
    event, text = served.translate(uploaded(encoded(image)), size='original', heatmap=False)
    assert event == 'complete'
    result, heatmap = json.loads(text)
    assert heatmap is None
    content = served.send(f'/gradio_api/file={result["path"]}')[1]
    np.testing.assert_array_equal(pixels(content), ugatit_jax.load(workdir)(image, size='original'))


@needs_gradio
def test_no_other_file_of_the_server_is_readable(served, workdir, tmp_path):
    secret = tmp_path / 'secret.png'  # in the temporary folder of this machine
    secret.write_bytes(encoded(smooth(20, 20)))
    source = ROOT / 'ugatit_jax' / 'serve' / 'page.py'
    weights = next(pathlib.Path(workdir).rglob('manifest*'), None) or next(pathlib.Path(workdir).rglob('config*'))
    tricks = ['/etc/passwd', source, weights, secret, f'{served.temporary}/../../etc/passwd', 'ugatit_jax/serve/page.py']
    for path in map(str, tricks):
        for url in (f'/gradio_api/file={path}', f'/file={path}', f'/gradio_api/file={path.replace("/", "%2F")}', f'/{path}'):
            status, answer = served.send(url)
            assert status >= 400 or b'<!doctype html>' in answer[:200], (url, status)
            assert b'root:' not in answer and b'gradio as gr' not in answer
        event, text = served.translate(path)
        assert event == 'error' and 'root:' not in text, path
    for file in ({'path': str(secret)}, {'path': str(secret), 'meta': {'_type': 'file'}}):  # without gradio's description
        event, text = served.call([file, 'a2b', 'train', False])
        assert event == 'error' and 'the image is not here, or no longer; upload it' in text
    status, answer = served.upload(encoded(smooth(20, 20)), name='../../../../tmp/x.png')
    assert pathlib.Path(json.loads(answer)[0]).resolve().is_relative_to(served.temporary.resolve())
    event, text = served.translate('https://example.com/x.png')  # it fetches nothing for others
    assert event == 'error' and 'not named by a URL' in text


@needs_gradio
def test_calls_wait_their_turn(served):
    """Those past the queue would be computed beside the image whose turn it is."""
    status, answer = served.post('run/translate', {'data': [None, 'a2b', 'train', False]})
    assert status == 404 and b'queue' in answer


@needs_gradio
def test_runs_are_not_kept_elsewhere(served):
    """gradio offers visitors to copy them into a bucket of the Hub, which the server would write."""
    assert served.send('/gradio_api/runs')[0] == 404
    assert served.post('run-history/connect', {})[0] == 404


@needs_gradio
def test_requests_that_make_no_sense_are_answered_with_one_line(served):
    """The fixture looks for tracebacks in the server's log."""

    def refused(path: str, content: object) -> tuple[int, str]:
        status, answer = served.post(path, content)
        return status, answer.decode()

    assert refused('call/nothing', {'data': []}) == (404, 'there is no such call; GET /gradio_api/info lists them\n')
    assert refused('queue/join', {'data': [], 'fn_index': 99, 'session_hash': 'x'}) == (
        400,
        'the request cannot be used; GET /gradio_api/info says what calls take\n',
    )
    form = b'--edge\r\nContent-Disposition: form-data; name="files"\r\n\r\nno file\r\n--edge--\r\n'
    status, answer = served.send('/gradio_api/upload', form, Content_Type='multipart/form-data; boundary=edge')
    assert status == 400 and answer.count(b'\n') == 1
    for data in ([], [1, 2, 3, 4], ['x.png', 'a2b', 'train', False]):
        event, text = served.call(data)
        assert event == 'error' and 'these inputs cannot be used' in text
    assert b'404' in served.send('/gradio_api/call/translate/nothing')[1]  # an event of a server that is no more
    path = json.loads(served.upload(encoded(smooth(20, 20)))[1])[0]
    os.remove(path)  # as after an hour
    event, text = served.translate(path)
    assert event == 'error' and 'the image is not here, or no longer; upload it' in text
    for visitor_leaves in (b'--edge\r\nContent-Disposition: form-data; name="files"; filename="x.png"\r\n\r\nhalf', b''):
        with socket.create_connection(('127.0.0.1', int(served.url.rpartition(':')[2])), timeout=WAIT) as connection:
            head = 'Host: localhost\r\nContent-Type: multipart/form-data; boundary=edge\r\nContent-Length: 1000\r\n\r\n'
            connection.sendall(f'POST /gradio_api/upload HTTP/1.1\r\n{head}'.encode() + visitor_leaves)
    for length in ('-1', 'many', '9' * 30):
        assert served.status_of(f'Content-Length: {length}', b'{}') == 400
    assert served.status_of(f'Content-Length: {"9" * 20}', b'{}') == 413


@needs_gradio
def test_frames_that_are_none_are_answered_with_one_line(served):
    start = 'data:image/jpeg;base64,'
    assert served.frame_error(f'{start}AAE').startswith('a frame is sent as base64: ')
    assert served.frame_error(f'{start}!!!!').startswith('a frame is sent as base64: ')
    assert served.frame_error(start) == 'empty file'
    assert served.frame_error(f'{start}AAEC') == 'not an image of a known format (starts with 00 01 02)'
    assert served.frame_error(None) == 'a frame is sent as data'


def test_one_direction_of_another_kind_of_model(workdir, tmp_path):
    """A full model takes its own size alone."""
    full = write_checkpoint(tmp_path / 'full', model__mlp_pool='full', data__source=f'folder:{tmp_path}/gone')
    translators = {'b2a': ugatit_jax.load(full, 'b2a')}
    served = ServedModel(translators, Limits(1000, 1000, 64))
    assert list(served.sizes) == ['train'] and find_examples(translators) == {}
    (tmp_path / 'x.png').write_bytes(encoded(image := smooth(20, 30)))
    result = served.translate_upload(str(tmp_path / 'x.png'), str(tmp_path), 'b2a', heatmap=True)
    np.testing.assert_array_equal(pixels(pathlib.Path(result.image).read_bytes()), translators['b2a'](image))
    assert result.heatmap.endswith('heatmap_b2a.png')
    examples = find_examples(translators, str(tmp_path / 'x.png'))['b2a']
    np.testing.assert_array_equal(examples.draw(3), image)


def test_flags_and_missing_packages_are_one_line(workdir, tmp_path, capsys, monkeypatch):
    def error(*flags: str) -> str:
        assert main([f'--checkpoint={workdir}', f'--port={free_port()}', *flags]) == 2
        line = capsys.readouterr().err
        assert line.startswith('ugatit_jax: ') and line.count('\n') == 1
        return line

    assert '--max_upload=0: it is a number above 0' in error('--max_upload=0')
    assert '--max_pixels=inf: it is a number above 0' in error('--max_pixels=inf')
    assert '--port=70000' in error('--port=70000')
    monkeypatch.setattr(server, 'is_installed', lambda module: False)
    assert 'the page needs gradio; hint: pip install -e .[serve]' in error()
    monkeypatch.setattr(server, 'is_installed', lambda module: True)
    monkeypatch.setattr(importlib.metadata, 'version', lambda name: '3.18.0')
    assert 'gradio 6 or newer, and 3.18.0 is installed' in error()
    monkeypatch.setattr(importlib.metadata, 'version', lambda name: '6.0.0')
    with socket.create_server(('127.0.0.1', 0)) as taken:
        port = taken.getsockname()[1]
        assert f'--host=127.0.0.1 --port={port} cannot be used: Address already in use; name another' in error(
            f'--port={port}'
        )
    assert '--host=192.0.2.1' in error('--host=192.0.2.1')  # of no machine (RFC 5737)
    assert f'--examples={tmp_path}/none: there is no such file' in error(f'--examples={tmp_path}/none')
    assert 'is neither a workdir' in error(f'--checkpoint={tmp_path}')
