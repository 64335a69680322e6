# SPDX-License-Identifier: MIT
"""Chromium, and an installation with something in it."""

import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

import seed  # noqa: E402
from lib.browser import chromium, open_page  # noqa: E402
from lib.gateway import AUTH_KEY, Gateway  # noqa: E402
from lib.provider import Provider  # noqa: E402


@pytest.fixture(scope="session")
def browser():
    with chromium() as one:
        yield one


@pytest.fixture
def open_tab(browser, request):
    """open_tab(gateway, theme=…): a tab signed in and watched; it must have nothing to
    complain of in the end."""
    opened = []

    def start(gateway, path="/", sign_in=True, **options):
        context = open_page(browser, gateway, **options)
        tab = context.__enter__()
        opened.append((context, tab))
        if sign_in:
            tab.sign_in(AUTH_KEY, path)
        return tab
    yield start
    for context, tab in opened:
        try:
            if not getattr(request.node, "failed", True):
                tab.check()
        finally:
            context.__exit__(None, None, None)


class Filled:
    def __init__(self, gateway, provider, groups):
        self.gateway = gateway
        self.provider = provider
        self.groups = groups


@pytest.fixture(scope="session")
def filled():
    """A stack with groups, keys and requests, which the tests only look at."""
    with Provider() as provider, Gateway() as gateway:
        yield Filled(gateway, provider, seed.fill(gateway, provider))
