"""The files of ONNX Runtime Web that a page runs on, from npm, a folder or a tarball, checked against known hashes."""

import base64
import hashlib
import io
import os
import pathlib
import shutil
import subprocess
import tarfile
import tempfile

from etils import epath

from ugatit_jax.common.errors import UserError, first_line
from ugatit_jax.common.files import atomic_write_bytes, cache_folder
from ugatit_jax.common.progress import announced

PACKAGE, VERSION = 'onnxruntime-web', '1.30.0'
# of the tarball, as the registry has it
INTEGRITY = 'sha512-q0y+JrrtukXSzsBWEMccVfqX25LRmosXHF+CaRJmg8pZClzcV7svNc4rKY3jL02Vb7QmRMDs1SigqR4CXAfKYQ=='
FILES = {  # of its folder dist: SHA-256
    'ort.wasm.bundle.min.mjs': '11e64bd8ffe11bd1a2a2f0d6275fdfbbba7262f0b76b99b53d228a8a22ef3d90',
    'ort-wasm-simd-threaded.wasm': '3398c10d07d229bd91b364548e130e0e51a8e5704b88c7c083ebbeb78842dee2',
    'ort.webgpu.bundle.min.mjs': '0730816731ce2cdfb06f273da065d4a1c7091eb9d1756a83b2916c8a89d015e2',
    'ort-wasm-simd-threaded.asyncify.wasm': '39f9f0894d478800487ed9f7dbe92618498db320cf55c8e3d89adff8dce658da',
}
KINDS = {'wasm': tuple(FILES)[:2], 'webgpu': tuple(FILES)[2:]}  # what a page loads for the processor, and for a GPU
NPM_SECONDS = 600  # for 33 MB
HINT = f'hint: --runtime=PLACE takes its folder in node_modules, or its tarball ({PACKAGE}-{VERSION}.tgz)'


def runtime_files(place: str = '') -> dict[str, bytes]:
    """FILES with their content, from `place` (a folder or tarball), the cache, or npm; raises UserError."""
    if place and os.path.isdir(place):
        return files_of_folder(place)
    if place:
        return files_of_tarball(read(place), place)
    kept = cache_folder() / f'{PACKAGE}-{VERSION}.tgz'
    if kept.is_file() and integrity(content := kept.read_bytes()) == INTEGRITY:
        return files_of_tarball(content, str(kept))
    content = download()
    files = files_of_tarball(content, 'npm')
    try:
        kept.parent.mkdir(parents=True, exist_ok=True)
        atomic_write_bytes(epath.Path(kept), content)
    except OSError:
        pass  # it is downloaded again the next time
    return files


def download() -> bytes:
    """The tarball, by npm from the registry that it is set to; raises UserError."""
    npm = shutil.which('npm')
    if npm is None:
        raise UserError(f'a page needs {PACKAGE} {VERSION}, and npm, which would get it, is not installed; {HINT}')
    command = [npm, 'pack', f'{PACKAGE}@{VERSION}', '--silent', '--ignore-scripts']
    with tempfile.TemporaryDirectory() as folder, announced(f'downloading {PACKAGE} {VERSION}', PACKAGE):
        try:
            subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True, timeout=NPM_SECONDS)
        except (subprocess.SubprocessError, OSError) as error:
            reason = (getattr(error, 'stderr', None) or '').strip().splitlines()[:1] or [first_line(error)]
            raise UserError(f'npm cannot get {PACKAGE} {VERSION}: {reason[0]}; {HINT}') from error
        tarballs = list(pathlib.Path(folder).glob('*.tgz'))
        if not tarballs:
            raise UserError(f'npm left no tarball of {PACKAGE} {VERSION}; {HINT}')
        return tarballs[0].read_bytes()


def integrity(content: bytes) -> str:
    """The hash of a tarball as npm writes it."""
    return f'sha512-{base64.b64encode(hashlib.sha512(content).digest()).decode()}'


def files_of_tarball(content: bytes, where: str) -> dict[str, bytes]:
    """FILES of a tarball; raises UserError for another than that of VERSION."""
    if integrity(content) != INTEGRITY:
        raise UserError(f'{where}: not the tarball of {PACKAGE} {VERSION}, its SHA-512 differs; {HINT}')
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        return {name: archive.extractfile(f'package/dist/{name}').read() for name in FILES}


def files_of_folder(place: str) -> dict[str, bytes]:
    """FILES of the package's folder, its dist, or a node_modules that it is in; raises UserError for another version."""
    parts = ('', 'dist', f'{PACKAGE}/dist', f'node_modules/{PACKAGE}/dist')
    folder = next(
        (os.path.join(place, part) for part in parts if os.path.isfile(os.path.join(place, part, next(iter(FILES))))), ''
    )
    if not folder:
        raise UserError(f'--runtime={place}: there is no {PACKAGE} in it; {HINT}')
    files = {name: read(os.path.join(folder, name)) for name in FILES}
    for name, content in files.items():
        if hashlib.sha256(content).hexdigest() != FILES[name]:
            raise UserError(f'{folder}/{name} is not that of {PACKAGE} {VERSION}: its SHA-256 differs; {HINT}')
    return files


def read(path: str) -> bytes:
    """A file's content; raises UserError."""
    try:
        return pathlib.Path(path).read_bytes()
    except OSError as error:
        raise UserError(f'--runtime={path} cannot be read: {error.strerror or error}; {HINT}') from error
