"""Headless Chromium, driven by selenium; tests that need it are skipped where it is missing."""

import contextlib
import json
from collections.abc import Iterator
from typing import Any

import pytest

from benchmarks import browser as browsers
from ugatit_jax.common.errors import UserError

PHONE = {'width': 390, 'height': 844, 'deviceScaleFactor': 2, 'mobile': True}


@contextlib.contextmanager
def chromium(*flags: str) -> Iterator[Any]:
    """A browser that logs its console and requests."""
    logged = {'goog:loggingPrefs': {'browser': 'ALL', 'performance': 'ALL'}}
    with contextlib.ExitStack() as stack:
        try:
            browser = stack.enter_context(browsers.chromium(*flags, **logged))
        except UserError as error:
            pytest.skip(str(error))
        yield browser


def requested(browser: Any) -> list[str]:
    """The URLs that the browser asked for since this was last called."""
    messages = [json.loads(entry['message'])['message'] for entry in browser.get_log('performance')]
    return [m['params']['request']['url'] for m in messages if m['method'] == 'Network.requestWillBeSent']


def be_a_phone(browser: Any, phone: bool = True) -> None:
    """Gives the page a phone's width, or the window's again."""
    command = 'Emulation.setDeviceMetricsOverride' if phone else 'Emulation.clearDeviceMetricsOverride'
    browser.execute_cdp_cmd(command, PHONE if phone else {})


def scrolls_sideways(browser: Any) -> bool:
    """Whether the page is wider than what is seen of it."""
    return browser.execute_script('return document.documentElement.scrollWidth > window.innerWidth')
