"""A certificate authority, made on the spot, and a reader of Content Credentials that trusts it."""

import datetime
import io

import pytest

c2pa = pytest.importorskip('c2pa', reason='c2pa-python is not installed: pip install -e .[provenance]')
from cryptography import x509  # noqa: E402
from cryptography.hazmat.primitives import hashes, serialization  # noqa: E402
from cryptography.hazmat.primitives.asymmetric import ec, ed25519  # noqa: E402
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID  # noqa: E402

MEDIA_TYPES = {'png': 'image/png', 'jpg': 'image/jpeg', 'webp': 'image/webp'}
USES = (
    *('digital_signature', 'content_commitment', 'key_encipherment', 'data_encipherment', 'key_agreement'),
    *('key_cert_sign', 'crl_sign', 'encipher_only', 'decipher_only'),
)


class Authority:
    """A root certificate, and files of leaf certificates that it signs."""

    def __init__(self, folder):
        self.folder, self.key = folder, ec.generate_private_key(ec.SECP256R1())
        self.certificate = self.certify(self.key, True, ['key_cert_sign', 'crl_sign'], [])
        self.pem = self.certificate.public_bytes(serialization.Encoding.PEM)

    def certify(self, key, is_root, uses, extensions, first_day=-2, last_day=2):
        """A certificate of a key, valid between two days from now."""
        now = datetime.datetime.now(datetime.UTC)
        names = [x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]) for name in ('Test root', 'Test signer')]
        made = x509.CertificateBuilder().issuer_name(names[0]).subject_name(names[not is_root]).public_key(key.public_key())
        made = made.serial_number(x509.random_serial_number()).not_valid_before(now + datetime.timedelta(first_day))
        made = made.not_valid_after(now + datetime.timedelta(last_day))
        made = made.add_extension(x509.BasicConstraints(is_root, None), critical=True)
        made = made.add_extension(x509.KeyUsage(**{use: use in uses for use in USES}), critical=True)
        made = made.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        for extension in extensions:
            made = made.add_extension(extension, critical=False)
        return made.sign(self.key, hashes.SHA256())

    def issue(self, name, key=None, eku='EMAIL_PROTECTION', password=None, **days):
        """Writes NAME.crt (leaf, root) and NAME.key; returns their paths."""
        key = key or ec.generate_private_key(ec.SECP256R1())
        extensions = [
            x509.ExtendedKeyUsage([getattr(ExtendedKeyUsageOID, eku)]),
            x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()),
        ]
        leaf = self.certify(key, False, ['digital_signature'], extensions, **days)
        paths = self.folder / f'{name}.crt', self.folder / f'{name}.key'
        paths[0].write_bytes(leaf.public_bytes(serialization.Encoding.PEM) + self.pem)
        encryption = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
        # the older form of files, which openssl writes for -traditional: C2PA itself reads PKCS 8 alone
        old, new = serialization.PrivateFormat.TraditionalOpenSSL, serialization.PrivateFormat.PKCS8
        form = new if isinstance(key, ed25519.Ed25519PrivateKey) else old
        paths[1].write_bytes(key.private_bytes(serialization.Encoding.PEM, form, encryption))
        return paths

    def reader(self, suffix, data):
        """The library's reader of a file, which trusts this root."""
        settings = {'trust': {'trust_anchors': self.pem.decode()}, 'verify': {'verify_trust': True}}
        context = c2pa.Context(c2pa.Settings.from_dict(settings))
        return c2pa.Reader(MEDIA_TYPES[suffix], io.BytesIO(data), context=context)

    def signed_as(self, suffix, data):
        """IPTC's term for how a file was made, where it is unchanged, signed below this root, and says no more."""
        reader = self.reader(suffix, data)
        assert reader.get_validation_state() == 'Trusted', reader.get_validation_results()
        manifest = reader.get_active_manifest()
        [action] = [action for found in manifest['assertions'] for action in found['data'].get('actions', ())]
        assert action['action'] == 'c2pa.created'
        assert not manifest.get('ingredients') and 'thumbnail' not in reader.json()  # the input is private
        return action['digitalSourceType'].removeprefix('http://cv.iptc.org/newscodes/digitalsourcetype/')
