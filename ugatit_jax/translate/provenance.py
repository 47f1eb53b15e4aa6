"""Content Credentials (C2PA): signed statements inside image files that a generative model made them.

The manifest has one action, c2pa.created, with the IPTC term for how the image came to be. It holds neither the input, which
may be private, nor a thumbnail of it, and nothing is asked of other machines: there is no time stamp. https://spec.c2pa.org
"""

import contextlib
import dataclasses
import datetime
import io
import pathlib
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from PIL import Image

import ugatit_jax
from ugatit_jax.common.errors import UserError, first_line, short_line
from ugatit_jax.common.files import is_installed

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

MEDIA_TYPES = {'png': 'image/png', 'jpg': 'image/jpeg', 'webp': 'image/webp'}  # suffixes of files that are signed
SOURCE_TYPES = 'http://cv.iptc.org/newscodes/digitalsourcetype/'  # a name, not an address that is opened
CURVES = {'secp256r1': 'es256', 'secp384r1': 'es384', 'secp521r1': 'es512'}  # of a private key -> C2PA's algorithm
CHAIN_HINT = (
    'hint: the certificate needs the extended key usage emailProtection and an authority key identifier, '
    'and is followed by the certificates of its issuers'
)


@dataclasses.dataclass(frozen=True)
class Credentials:
    """What signs: C2PA's name of the algorithm, the certificate with those of its issuers, and its private key, in PEM."""

    algorithm: str
    chain: bytes
    key: bytes = dataclasses.field(repr=False)


def parse_credentials(flag: str, no_metadata: bool) -> Credentials | None:
    """`load_credentials` for the value of --sign, CERT,KEY; None where it is empty. Raises UserError."""
    if not flag:
        return None
    if no_metadata:
        raise UserError('--sign writes into results what --no_metadata keeps out of them; leave one out')
    parts = [part.strip() for part in flag.split(',')]
    if len(parts) != 2 or not all(parts):
        raise UserError(f'--sign={flag}: it is two files with a comma between, CERT,KEY')
    return load_credentials(*parts)


def load_credentials(cert: str, key: str) -> Credentials:
    """Reads a certificate, followed by its issuers', and its private key, both PEM, and signs a tiny image as a trial.

    Raises UserError where a package or a file is missing, the key is encrypted or another certificate's, the certificate is
    not valid now, or C2PA does not accept it.
    """
    if not is_installed('c2pa'):
        raise UserError('--sign needs c2pa-python; hint: pip install -e .[provenance]')
    from cryptography import x509
    from cryptography.hazmat.primitives import serialization

    chain_pem, key_pem = read_file(cert), read_file(key)
    try:
        chain = x509.load_pem_x509_certificates(chain_pem)
    except ValueError as error:
        raise UserError(f'--sign: {cert} holds no certificate in PEM; hint: CERT comes first, then KEY') from error
    try:
        private = serialization.load_pem_private_key(key_pem, None)
    except TypeError as error:
        raise UserError(f'--sign: {key} is encrypted; hint: openssl pkey -in {key} -out KEY decrypts it') from error
    except Exception as error:  # ValueError, or UnsupportedAlgorithm of a rare kind of key
        raise UserError(f'--sign: {key} holds no private key in PEM; hint: CERT comes first, then KEY') from error
    if private.public_key() != chain[0].public_key():
        raise UserError(
            f'--sign: {key} is not the key of {cert}; hint: the first certificate of the file is the one that signs'
        )
    validate_dates(chain[0], cert)
    credentials = Credentials(
        algorithm_of(private, key),
        b''.join(certificate.public_bytes(serialization.Encoding.PEM) for certificate in chain),
        private.private_bytes(  # C2PA reads no other form than PKCS 8
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ),
    )
    trial = io.BytesIO()
    Image.new('RGB', (8, 8)).save(trial, 'PNG')
    try:
        sign(trial.getvalue(), credentials, 'png')
    except UserError as error:
        raise UserError(f'--sign: {cert} cannot sign images: {error}; {CHAIN_HINT}') from error
    return credentials


def read_file(path: str) -> bytes:
    """The content of a file; raises UserError."""
    try:
        return pathlib.Path(path).read_bytes()
    except OSError as error:
        raise UserError(f'--sign: {path} cannot be read: {error.strerror or first_line(error)}') from error


def validate_dates(certificate: 'x509.Certificate', path: str) -> None:
    """Raises UserError where a certificate is not valid now."""
    now, start, end = datetime.datetime.now(datetime.UTC), certificate.not_valid_before_utc, certificate.not_valid_after_utc
    if now > end:
        raise UserError(f'--sign: {path} expired on {end:%Y-%m-%d}; take a renewed certificate')
    if now < start:
        raise UserError(f'--sign: {path} is valid from {start:%Y-%m-%d} on, and this machine says {now:%Y-%m-%d}')


def algorithm_of(private: 'PrivateKeyTypes', path: str) -> str:
    """C2PA's name of the algorithm that a private key signs with; raises UserError for keys that have none."""
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

    if isinstance(private, ec.EllipticCurvePrivateKey) and private.curve.name in CURVES:
        return CURVES[private.curve.name]
    if isinstance(private, ed25519.Ed25519PrivateKey):
        return 'ed25519'
    if isinstance(private, rsa.RSAPrivateKey):
        return 'ps256'
    raise UserError(f'--sign: {path} is a key that C2PA does not know; take P-256, P-384, P-521, Ed25519 or RSA')


def validate_signable(targets: Iterable[str]) -> None:
    """Raises UserError for the first of the results that cannot be signed: videos and .npy."""
    for target in targets:
        if pathlib.Path(target).suffix[1:].lower() not in MEDIA_TYPES:
            raise UserError(f'--sign is for PNG, JPEG and WebP, and {target} is to be written; leave it out, or such inputs')


def sign(data: bytes, credentials: Credentials, image_format: str, composite: bool = False) -> bytes:
    """An image file with Content Credentials inside; its pixels and its metadata stay as they are.

    image_format: one of MEDIA_TYPES. composite: the image also shows its input, or parts of it (heatmaps, strips). The
    result is validated, but for whether anybody trusts the certificate. Raises UserError.
    """
    import c2pa  # here: translating without --sign needs no such package

    made, signed = 'compositeWithTrainedAlgorithmicMedia' if composite else 'trainedAlgorithmicMedia', io.BytesIO()
    software = {'name': 'ugatit_jax', 'version': ugatit_jax.__version__}
    action = {'action': 'c2pa.created', 'softwareAgent': software, 'digitalSourceType': SOURCE_TYPES + made}
    manifest = {
        'claim_generator_info': [software],
        'assertions': [{'label': 'c2pa.actions.v2', 'data': {'actions': [action]}}],
    }
    settings = {'builder': {'thumbnail': {'enabled': False}}}  # it would be larger than a small image
    with c2pa_errors():
        info = c2pa.C2paSignerInfo(credentials.algorithm, credentials.chain, credentials.key, None)  # None: no time stamp
        with (
            c2pa.Context(c2pa.Settings.from_dict(settings)) as context,
            c2pa.Signer.from_info(info) as signer,
            c2pa.Builder(manifest, context=context) as builder,
        ):
            builder.sign(signer, MEDIA_TYPES[image_format], io.BytesIO(data), signed)
    return signed.getvalue()


@contextlib.contextmanager
def c2pa_errors() -> Iterator[None]:
    """Raises UserError in place of the library's error."""
    import c2pa

    try:
        yield
    except c2pa.C2paError as error:
        raise UserError(f'Content Credentials: {short_line(error)}') from error
