"""Headless Chromium: where it is, and driven by selenium."""

import contextlib
import shutil
from collections.abc import Iterator
from typing import Any

from ugatit_jax.common.errors import UserError

BROWSERS = ('chromium', 'chromium-browser', 'google-chrome')


def find_browser() -> str:
    """The browser's path; raises UserError where none is installed."""
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        raise UserError(f'none of {", ".join(BROWSERS)} is on the PATH; hint: apt-get install chromium')
    return browser


@contextlib.contextmanager
def chromium(*flags: str, **capabilities: Any) -> Iterator[Any]:
    """A browser that selenium drives; raises UserError where it, or its chromedriver, is not installed."""
    from selenium import webdriver

    binary, driver = find_browser(), shutil.which('chromedriver')
    if driver is None:
        raise UserError('chromedriver is not on the PATH; hint: apt-get install chromium-driver')
    options = webdriver.ChromeOptions()
    options.binary_location = binary
    for flag in ('--headless=new', '--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', *flags):
        options.add_argument(flag)
    for name, value in capabilities.items():
        options.set_capability(name, value)
    browser = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    try:
        yield browser
    finally:
        browser.quit()
