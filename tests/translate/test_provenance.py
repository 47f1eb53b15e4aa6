"""--sign: Content Credentials in results, read back by the library's own reader."""

import io

import numpy as np
import pytest
from PIL import Image

from tests.helpers.translation import STEP, list_files, noise_image, run_translate
from ugatit_jax.common.errors import UserError
from ugatit_jax.translate.output_files import write_image
from ugatit_jax.translate.provenance import load_credentials, validate_signable

c2pa = pytest.importorskip('c2pa', reason='c2pa-python is not installed: pip install -e .[provenance]')
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa  # noqa: E402

from tests.helpers.authority import MEDIA_TYPES, Authority  # noqa: E402


@pytest.fixture(scope='module')
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp('ca'))


@pytest.fixture(scope='module')
def signer(authority):
    """The flag for a certificate that works."""
    return '--sign={},{}'.format(*authority.issue('good'))


@pytest.fixture
def source(tmp_path):
    path = tmp_path / 'x.png'
    Image.fromarray(noise_image(16, 16)).save(path)
    return path


def test_results_say_that_a_model_made_them(workdir, authority, signer, source, tmp_path):
    flags = '--heatmap', '--strip'
    assert run_translate(workdir, source, tmp_path / 'plain', *flags) == 0
    assert run_translate(workdir, source, tmp_path / 'signed', *flags, signer) == 0
    assert list_files(tmp_path / 'signed') == list_files(tmp_path / 'plain') == ['x.heatmap.png', 'x.png', 'x.strip.png']
    for name in list_files(tmp_path / 'plain'):
        data = (tmp_path / 'signed' / name).read_bytes()
        kind = 'trainedAlgorithmicMedia' if name == 'x.png' else 'compositeWithTrainedAlgorithmicMedia'
        assert authority.signed_as('png', data) == kind, name
        plain, signed = Image.open(tmp_path / 'plain' / name), Image.open(io.BytesIO(data))
        np.testing.assert_array_equal(np.asarray(plain), np.asarray(signed))
        kept = ' '.join(map(str, [*signed.info.values(), *signed.getexif().values()]))
        assert f'step {STEP} ema' in kept and 'synthetic' in kept
        assert len(data) < (tmp_path / 'plain' / name).stat().st_size + 5000  # bytes


@pytest.mark.parametrize('suffix', MEDIA_TYPES)
def test_a_tampered_image_is_invalid_and_a_saved_one_has_none(authority, tmp_path, suffix):
    credentials, files = load_credentials(*map(str, authority.issue('leaf'))), {}
    for name, signing in (('plain', None), ('signed', credentials)):
        path = tmp_path / f'{name}.{suffix}'
        write_image(str(path), noise_image(16, 16), {'Software': 'ours'}, credentials=signing)
        files[name] = Image.open(path)
    np.testing.assert_array_equal(*map(np.asarray, files.values()))
    assert 'ours' in map(str, [*files['signed'].info.values(), *files['signed'].getexif().values()])
    data, unsigned = path.read_bytes(), io.BytesIO()
    assert authority.signed_as(suffix, data) == 'trainedAlgorithmicMedia'
    files['signed'].save(unsigned, MEDIA_TYPES[suffix][6:])
    start = {'png': b'IDAT', 'jpg': b'\xff\xda', 'webp': b'VP8 '}[suffix]  # of the pixels
    at = data.rindex(start) + 40
    for changed in (data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :], data.replace(b'Software', b'software')):
        if changed != data:
            reader = authority.reader(suffix, changed)
            assert reader.get_validation_state() == 'Invalid'
            [failure] = {found['code'] for found in reader.get_validation_results()['activeManifest']['failure']}
            assert failure == 'assertion.dataHash.mismatch'
    with pytest.raises(c2pa.C2paError.ManifestNotFound):
        authority.reader(suffix, unsigned.getvalue())


@pytest.mark.parametrize('kind', ['secp384r1', 'secp521r1', 'ed25519', 'rsa'])
def test_other_kinds_of_keys_sign(authority, tmp_path, kind):
    keys = {
        'secp384r1': lambda: ec.generate_private_key(ec.SECP384R1()),
        'secp521r1': lambda: ec.generate_private_key(ec.SECP521R1()),
        'ed25519': ed25519.Ed25519PrivateKey.generate,
        'rsa': lambda: rsa.generate_private_key(public_exponent=65537, key_size=2048),
    }
    credentials = load_credentials(*map(str, authority.issue(kind, keys[kind]())))
    write_image(str(tmp_path / 'x.png'), noise_image(16, 16), {}, credentials=credentials)
    assert authority.signed_as('png', (tmp_path / 'x.png').read_bytes()) == 'trainedAlgorithmicMedia'
    assert str(credentials.key) not in repr(credentials)  # nobody logs it


@pytest.fixture(scope='module')
def wrong(authority):
    """Values of --sign that do not work, and what is said of each."""
    good, other = authority.issue('right'), authority.issue('other')
    issued = {
        'encrypted': authority.issue('encrypted', password=b'secret'),
        'expired': authority.issue('expired', first_day=-9, last_day=-1),
        'early': authority.issue('early', first_day=1),
        'server': authority.issue('server', eku='SERVER_AUTH'),
        'curve': authority.issue('curve', key=ec.generate_private_key(ec.SECP256K1())),
        'absent': (good[0].with_name('absent.crt'), good[1]),
        'folder': (good[0].parent, good[1]),
        'mismatch': (good[0], other[1]),
        'swapped': (good[1], good[0]),
        'no_key': (good[0], good[0]),
    }
    return {name: ','.join(map(str, paths)) for name, paths in issued.items()} | {'one': str(good[0]), 'half': f'{good[0]},'}


@pytest.mark.parametrize(
    'name, message',
    [
        ('encrypted', 'encrypted.key is encrypted; hint: openssl pkey'),
        ('expired', 'expired.crt expired on 2'),
        ('early', 'early.crt is valid from 2'),
        (
            'server',
            'server.crt cannot sign images: Content Credentials: Signature: the certificate is invalid; hint: the cert',
        ),
        ('curve', 'curve.key is a key that C2PA does not know; take P-256'),
        ('absent', 'absent.crt cannot be read: No such file'),
        ('folder', ' cannot be read: Is a directory'),
        ('mismatch', 'other.key is not the key of '),
        ('swapped', 'right.key holds no certificate in PEM'),
        ('no_key', 'right.crt holds no private key in PEM'),
        ('one', 'two files with a comma between, CERT,KEY'),
        ('half', 'two files with a comma between, CERT,KEY'),
    ],
)
def test_wrong_credentials_end_in_one_line(wrong, source, tmp_path, capsys, name, message):
    """Before the checkpoint is looked for."""
    assert run_translate('/nowhere', source, tmp_path / 'out', f'--sign={wrong[name]}') == 2
    error = capsys.readouterr().err
    assert error.startswith('ugatit_jax: --sign') and error.count('\n') == 1 and message in error, error
    assert 'secret' not in error and not (tmp_path / 'out').exists()


def test_what_cannot_be_signed_is_refused_before_any_work(workdir, signer, source, tmp_path, capsys, monkeypatch):
    (tmp_path / 'film.mp4').write_bytes(b'no film')
    for inputs, flags, message in (
        (source, ['--no_metadata'], '--sign writes into results what --no_metadata keeps out of them'),
        ([source, tmp_path / 'film.mp4'], [], 'film.mp4 is to be written'),
    ):
        assert run_translate(workdir, inputs, tmp_path / 'out', signer, *flags) == 2
        error = capsys.readouterr().err
        assert error.count('\n') == 1 and message in error, error
        assert not (tmp_path / 'out').exists()
    with pytest.raises(UserError, match='x.npy is to be written'):  # images of other channels
        validate_signable(['x.png', 'x.npy'])
    monkeypatch.setattr('ugatit_jax.translate.provenance.is_installed', lambda module: False)
    assert run_translate('/nowhere', source, tmp_path / 'out', signer) == 2
    assert '--sign needs c2pa-python; hint: pip install -e .[provenance]' in capsys.readouterr().err


def test_an_image_that_cannot_be_signed_is_not_written(workdir, signer, source, tmp_path, capsys, monkeypatch):
    """Such as when the certificate expires on the way: named, exit code 1, and no unsigned file in its place."""

    def fail(*_):
        raise UserError('Content Credentials: expired')

    monkeypatch.setattr('ugatit_jax.translate.output_files.sign', fail)
    assert run_translate(workdir, source, tmp_path / 'out', signer) == 1
    assert 'x.png: cannot be written: Content Credentials: expired' in capsys.readouterr().err
    assert not list_files(tmp_path / 'out')
