# SPDX-License-Identifier: MIT
"""axe finds nothing on any view, in both themes and three languages."""

import pytest
from views import VIEWS, resolve

from lib.gateway import AUTH_KEY


@pytest.mark.timeout(300)
# Each theme and each language; with `scale` all six of them.
@pytest.mark.parametrize("theme, locale", [
    ("light", "en-US"), ("dark", "zh-CN"), ("light", "ja-JP"),
    pytest.param("dark", "en-US", marks=pytest.mark.scale),
    pytest.param("light", "zh-CN", marks=pytest.mark.scale),
    pytest.param("dark", "ja-JP", marks=pytest.mark.scale)])
def test_every_view(filled, open_tab, theme, locale):
    found = {}

    def look(name):
        bad = tab.violations()
        if bad:
            found[name] = bad
    tab = open_tab(filled.gateway, sign_in=False, theme=theme, locale=locale)
    tab.goto("/sign-in")
    tab.settle()
    look("sign-in")
    tab.sign_in(AUTH_KEY)
    for view in VIEWS:
        view.open(tab, resolve(view, filled.groups, filled.gateway))
        assert tab.page.locator("html").get_attribute("lang") == locale
        look(view.name)
    assert found == {}, "\n".join(f"{name}: {one}" for name, bad in found.items() for one in bad)


@pytest.mark.parametrize("width", [360, 2560])
def test_no_view_is_wider_than_the_window(filled, open_tab, width):
    tab = open_tab(filled.gateway, width=width, height=800)
    wide = {}
    for view in VIEWS:
        view.open(tab, resolve(view, filled.groups, filled.gateway))
        over = tab.page.evaluate(
            "() => ['html', 'main'].map((name) => document.querySelector(name))"
            ".map((one) => one.scrollWidth - one.clientWidth)")
        if max(over) > 0:
            wide[view.name] = over
    assert wide == {}


@pytest.mark.parametrize("width", [360, 1280])
def test_nothing_lies_over_what_stands_beside_it(filled, open_tab, width):
    """The parts of a view, one below the other: none is squeezed until its text comes out.
    (An open menu lies over what is below it.)"""
    tab = open_tab(filled.gateway, width=width, height=800)
    over = {}
    for view in (one for one in VIEWS if one.name != "logs-columns"):
        view.open(tab, resolve(view, filled.groups, filled.gateway))
        found = tab.page.evaluate("""() => [...document.querySelectorAll('.view > *')]
            .filter((one) => one.scrollHeight > one.clientHeight + 2
                && getComputedStyle(one).overflowY === 'visible'
                && getComputedStyle(one).display !== 'inline')
            .map((one) => `${one.className}: ${one.scrollHeight} in ${one.clientHeight}`)""")
        if found:
            over[view.name] = found
    assert over == {}
