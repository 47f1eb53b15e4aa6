"""The file of InceptionV3's weights: named, downloaded, or of another network."""

import hashlib
import http.server
import threading

import numpy as np
import pytest

from tests.helpers.random_inception import state_dict
from tests.helpers.torch_writer import write_zip
from ugatit_jax.common.errors import UserError
from ugatit_jax.evaluate.inception_weights import (
    PUBLISHED,
    PublishedFile,
    cached_or_downloaded,
    cached_path,
    load_weights,
    params_from_state_dict,
)

CONTENT = bytes(range(256)) * 9000  # read in more than one chunk


@pytest.fixture(scope='module')
def server(tmp_path_factory):
    """Mirrors: /whole, /changed, /longer, /broken (ends early) and /missing."""
    folder = tmp_path_factory.mktemp('mirror')
    (folder / 'whole').write_bytes(CONTENT)
    (folder / 'changed').write_bytes(CONTENT[:-1] + b'x')
    (folder / 'longer').write_bytes(CONTENT * 2)

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args):
            super().__init__(*args, directory=str(folder))

        def do_GET(self):
            if self.path != '/broken':
                return super().do_GET()
            self.send_response(200)
            self.send_header('Content-Length', str(len(CONTENT)))
            self.end_headers()
            self.wfile.write(CONTENT[:1000])

        def log_message(self, *args):
            pass

    with http.server.ThreadingHTTPServer(('127.0.0.1', 0), Handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f'http://127.0.0.1:{running.server_port}'
        running.shutdown()


@pytest.fixture
def published(server, monkeypatch, tmp_path):
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))

    def make(*names):
        urls = tuple(f'{server}/{name}' for name in names)
        return PublishedFile('net.pth', urls, hashlib.sha256(CONTENT).hexdigest(), len(CONTENT))

    return make


@pytest.mark.parametrize('first', ['whole', 'changed', 'longer', 'broken', 'missing'])
def test_the_first_mirror_with_the_right_file_is_taken(first, published, tmp_path):
    path = cached_or_downloaded(published(first, 'whole'))
    assert path == tmp_path / 'cache' / 'ugatit_jax' / 'net.pth' and path.read_bytes() == CONTENT
    assert list(path.parent.iterdir()) == [path]  # no rest of a failed download
    assert cached_or_downloaded(published('missing')) == path  # not downloaded again


def test_without_a_mirror_one_message_says_url_checksum_and_place(published):
    wanted = published('changed', 'missing')
    with pytest.raises(UserError) as error:
        cached_or_downloaded(wanted)
    message = str(error.value)
    for part in (*wanted.urls, wanted.sha256, str(cached_path(wanted)), '404', '--inception_weights'):
        assert part in message
    assert '\n' not in message and not any(cached_path(wanted).parent.iterdir())


def test_the_published_file_is_known_by_both_names_and_its_checksum():
    assert len(PUBLISHED.urls) == 2 and len({url.split('/')[2:4][1] for url in PUBLISHED.urls}) == 2
    assert all(url.endswith('2015-12-05-6726825d.pth') for url in PUBLISHED.urls)
    assert PUBLISHED.sha256.startswith('6726825d') and len(PUBLISHED.sha256) == 64


def test_both_forms_read_alike_and_say_whose_they_are(weights_file, extractor, tmp_path):
    write_zip(tmp_path / 'x.pth', state_dict())
    other = load_weights(str(tmp_path / 'x.pth'))
    assert not other.published and other.sha256 == hashlib.sha256((tmp_path / 'x.pth').read_bytes()).hexdigest()
    assert extractor.weights.sha256 == hashlib.sha256(weights_file.read_bytes()).hexdigest() != other.sha256
    for name, layer in extractor.weights.params.items():
        for part, value in layer.items():
            np.testing.assert_array_equal(value, other.params[name][part])


def test_weights_of_another_network_are_refused():
    good = state_dict()
    classification = {**good, 'fc.weight': np.zeros((1000, 2048), np.float32)}
    transposed = {**good, 'Mixed_6b.branch7x7_2.conv.weight': good['Mixed_6b.branch7x7_2.conv.weight'].transpose(0, 1, 3, 2)}
    missing = {name: value for name, value in good.items() if name != 'Mixed_7c.branch_pool.bn.bias'}
    for tree, name in (
        (classification, 'fc.weight'),
        (transposed, 'Mixed_6b.branch7x7_2.conv.weight'),
        (missing, 'Mixed_7c.branch_pool.bn.bias'),
        ({'genA2B': {}}, 'Conv2d_1a_3x3.conv.weight'),
        ([1], 'Conv2d_1a_3x3.conv.weight'),
    ):
        with pytest.raises(UserError, match=name) as error:
            params_from_state_dict(tree, 'file.pth')
        assert 'file.pth' in str(error.value) and PUBLISHED.name in str(error.value)
    not_finite = {**good, 'Conv2d_1a_3x3.bn.bias': np.full(32, np.nan, np.float32)}
    with pytest.raises(UserError, match='not finite'):
        params_from_state_dict(not_finite, 'file.pth')
