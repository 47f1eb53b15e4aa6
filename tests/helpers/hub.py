"""A stand-in for the Hugging Face Hub on this machine: what hf_hub_download asks for, and nothing else."""

import hashlib
import http.server
import pathlib
import re
import threading
from typing import Self

COMMIT = 'c0ffee' + 34 * '0'
FILE = re.compile(r'/([\w.-]+/[\w.-]+)/resolve/([^/]+)/(.+)')


class Hub:
    """A context that serves model `id`, the files of a folder, at the revisions main and COMMIT; `requests` grows."""

    def __init__(self, id: str, folder: pathlib.Path):
        self.id, self.folder = id, folder
        self.requests: list[str] = []  # 'GET config.json'

    def __enter__(self) -> Self:
        hub = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_HEAD(self) -> None:
                self.answer(b'')

            def do_GET(self) -> None:
                self.answer(None)

            def answer(self, body: bytes | None) -> None:
                match = FILE.fullmatch(self.path)
                if match is None or match[1] != hub.id:
                    return self.missing('RepoNotFound')
                if match[2] not in ('main', COMMIT):
                    return self.missing('RevisionNotFound')
                if not (hub.folder / match[3]).is_file():
                    return self.missing('EntryNotFound')
                hub.requests.append(f'{self.command} {match[3]}')
                content = (hub.folder / match[3]).read_bytes()
                self.send_response(200)
                self.send_header('Content-Length', str(len(content)))
                self.send_header('ETag', f'"{hashlib.sha256(content).hexdigest()}"')
                self.send_header('X-Repo-Commit', COMMIT)
                self.end_headers()
                self.wfile.write(content if body is None else body)

            def missing(self, code: str) -> None:
                self.send_response(404)
                self.send_header('X-Error-Code', code)
                self.send_header('Content-Length', '0')
                self.end_headers()

            def log_message(self, *arguments: object) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Handler)
        self.url = f'http://127.0.0.1:{self.server.server_port}'
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.server.shutdown()
        self.server.server_close()
