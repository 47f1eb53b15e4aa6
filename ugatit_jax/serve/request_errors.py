"""One line for a request that gradio's routes cannot take, where a traceback was."""

import logging
from collections.abc import Awaitable, Callable

from gradio.route_utils import FnIndexInferError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from ugatit_jax.common.errors import named_line
from ugatit_jax.serve.body_limit import Message

logger = logging.getLogger(__name__)

NO_SUCH_CALL = 'there is no such call; GET /gradio_api/info lists them\n'
NOT_TAKEN = 'the request cannot be used; GET /gradio_api/info says what calls take\n'


class RequestErrors:
    """ASGI middleware that answers 404 or 400, and logs a line, where a route raises for what was sent.

    Images are translated in the queue, whose errors are answers already. What else is raised is a mistake of a program, and
    passes.
    """

    def __init__(self, app: Callable[..., Awaitable[None]]):
        self.app = app

    async def __call__(self, scope: Message, receive: Callable, send: Callable) -> None:
        """Passes the request on."""
        if scope['type'] != 'http':
            await self.app(scope, receive, send)
            return
        answered = False

        async def noted(message: Message) -> None:
            nonlocal answered
            answered = True
            await send(message)

        try:
            await self.app(scope, receive, noted)
        except ClientDisconnect:  # nobody waits for the answer
            return
        except RuntimeError as error:
            if not isinstance(error.__cause__, HTTPException):
                raise
            await send({'type': 'http.response.body', 'body': b''})  # a stream that has just said so in words, as its last
        except (FnIndexInferError, LookupError, TypeError, ValueError) as error:
            if answered:
                raise
            logger.warning('%s %s: %s', scope['method'], scope['path'], named_line(error))
            status, text = (404, NO_SUCH_CALL) if isinstance(error, FnIndexInferError) else (400, NOT_TAKEN)
            await send({'type': 'http.response.start', 'status': status, 'headers': [(b'content-type', b'text/plain')]})
            await send({'type': 'http.response.body', 'body': text.encode()})
