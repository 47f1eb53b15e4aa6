"""Starts the web server: limits, private temporary files, and nothing that asks other machines for anything."""

import importlib.metadata
import os
import signal
import socket
import tempfile
import threading

from ugatit_jax.common.errors import UserError, first_line
from ugatit_jax.common.files import is_installed
from ugatit_jax.serve.examples import Examples
from ugatit_jax.serve.model import ServedModel

OLDEST_MAJOR = 6  # of gradio
# of gradio and of what it uses: no analytics, no check for a newer version, no tunnel, no question to the Hub, and no copies
# of results in a bucket of the Hub, which it would write for any visitor with a token
OFFLINE = {
    'GRADIO_ANALYTICS_ENABLED': 'False',
    'GRADIO_SHARE': 'False',
    'GRADIO_RUN_HISTORY': 'False',
    'HF_HUB_OFFLINE': '1',
    'DO_NOT_TRACK': '1',
}


def require_gradio() -> None:
    """Raises UserError where gradio is missing or too old."""
    hint = 'hint: pip install -e .[serve]'
    if not is_installed('gradio'):
        raise UserError(f'the page needs gradio; {hint}')
    version = importlib.metadata.version('gradio')
    if int(version.partition('.')[0]) < OLDEST_MAJOR:
        raise UserError(f'the page needs gradio {OLDEST_MAJOR} or newer, and {version} is installed; {hint}')


def validate_address(host: str, port: int) -> None:
    """Raises UserError where nothing can listen at this address."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # the port of a server that has just ended is free
            probe.bind(address)
    except OSError as error:
        raise UserError(f'--host={host} --port={port} cannot be used: {error.strerror or error}; name another') from error


def serve(model: ServedModel, examples: dict[str, Examples], host: str, port: int, max_queue: int) -> None:
    """Serves the page until Ctrl-C or SIGTERM; raises UserError where the port cannot be used."""
    ended = threading.Event()
    with tempfile.TemporaryDirectory(prefix='ugatit_jax-serve-') as folder:
        os.environ.update(OFFLINE, GRADIO_TEMP_DIR=folder)  # read when gradio is imported
        from ugatit_jax.serve.page import launch

        try:
            page = launch(model, examples, folder, host, port, max_queue)
        except OSError as error:
            raise UserError(f'--host={host} --port={port} cannot be used: {first_line(error)}; name another port') from error
        try:
            shown = f'[{host}]' if ':' in host else host
            print(f'serving {model.any.loaded.where} at http://{shown}:{port}/; Ctrl-C ends it', flush=True)
            signal.signal(signal.SIGTERM, lambda *_: ended.set())
            ended.wait()
        except KeyboardInterrupt:
            pass
        finally:
            page.close(verbose=False)
