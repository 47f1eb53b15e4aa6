"""Headless Chromium, driven by selenium; tests that need it are skipped where it is missing."""

import contextlib
import json
import shutil
from collections.abc import Iterator
from typing import Any

import pytest

PHONE = {'width': 390, 'height': 844, 'deviceScaleFactor': 2, 'mobile': True}


@contextlib.contextmanager
def chromium(*flags: str) -> Iterator[Any]:
    """A browser that logs its console and requests."""
    from selenium import webdriver

    binaries = [shutil.which(name) for name in ('chromium', 'chromium-browser', 'google-chrome')]
    driver = shutil.which('chromedriver')
    if not any(binaries) or not driver:
        pytest.skip('no Chromium with its chromedriver here (Debian: chromium chromium-driver)')
    options = webdriver.ChromeOptions()
    options.binary_location = next(filter(None, binaries))
    for flag in ('--headless=new', '--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', *flags):
        options.add_argument(flag)
    options.set_capability('goog:loggingPrefs', {'browser': 'ALL', 'performance': 'ALL'})
    browser = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    try:
        yield browser
    finally:
        browser.quit()


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
