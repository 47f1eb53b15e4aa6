"""A limit on what a request may send, whatever it is for."""

import contextlib
from collections.abc import Awaitable, Callable
from typing import Any

Message = dict[str, Any]
TOO_LARGE = b'the request is too large\n'


class BodyTooLarge(Exception):
    """More bytes came than allowed."""


class BodyLimit:
    """ASGI middleware that answers 413 to requests with more than `limit` bytes, before or while they are received."""

    def __init__(self, app: Callable[..., Awaitable[None]], limit: int):
        self.app, self.limit = app, limit

    async def __call__(self, scope: Message, receive: Callable, send: Callable) -> None:
        """Passes the request on, counted."""
        if scope['type'] != 'http':
            await self.app(scope, receive, send)
            return
        received, too_large, answered = 0, False, False

        async def counted() -> Message:
            nonlocal received, too_large
            message = await receive()
            received += len(message.get('body', b''))
            too_large = received > self.limit
            if too_large:
                raise BodyTooLarge
            return message

        async def unless_too_large(message: Message) -> None:
            nonlocal answered
            if not too_large:  # FastAPI turns the exception into an answer of its own
                answered = True
                await send(message)

        length = dict(scope['headers']).get(b'content-length', b'0')
        if length.isdigit() and int(length) <= self.limit:
            with contextlib.suppress(BodyTooLarge):
                await self.app(scope, counted, unless_too_large)
        else:
            too_large = True
        if too_large and not answered:
            headers = [(b'content-type', b'text/plain'), (b'connection', b'close')]
            await send({'type': 'http.response.start', 'status': 413, 'headers': headers})
            await send({'type': 'http.response.body', 'body': TOO_LARGE})
