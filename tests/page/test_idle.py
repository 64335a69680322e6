# SPDX-License-Identifier: MIT
"""A page that nobody uses forgets its key. The browser's clock is moved."""

import re

import pytest
from playwright.sync_api import expect

from lib.gateway import AUTH_KEY


@pytest.fixture
def tab(filled, open_tab):
    tab = open_tab(filled.gateway, sign_in=False)
    tab.page.clock.install()
    tab.sign_in(AUTH_KEY, "/tasks")
    return tab


def stored(tab):
    return tab.page.evaluate("() => sessionStorage.getItem('gpt-load-key')")


def test_signed_out_when_not_used_for_half_an_hour(tab):
    page = tab.page
    warning = page.locator("[data-test=idle]")
    page.clock.fast_forward("29:30")
    expect(warning).to_contain_text("You will be signed out")
    page.keyboard.press("Shift")
    expect(warning).to_be_hidden()
    page.clock.fast_forward("28:00")
    page.mouse.move(200, 200)
    page.clock.fast_forward("28:00")
    expect(warning).to_be_hidden()
    assert stored(tab) == AUTH_KEY
    page.clock.fast_forward("02:01")
    expect(page).to_have_url(re.compile("/sign-in"))
    expect(page.get_by_text("because nobody used the page")).to_be_visible()
    assert stored(tab) is None
    assert tab.violations() == []
    page.locator("#sign-in input").fill(AUTH_KEY)
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile("/tasks"))


def test_a_touch_after_a_long_sleep_comes_too_late(tab):
    page = tab.page
    # No timer has run since.
    page.clock.set_system_time(page.evaluate("() => Date.now()") + 7_200_000)
    page.mouse.move(300, 300)
    expect(page).to_have_url(re.compile("/sign-in"))
    assert stored(tab) is None


def test_a_page_on_a_wall_stays(filled, open_tab):
    tab = open_tab(filled.gateway, sign_in=False)
    page = tab.page
    page.clock.install()
    tab.goto("/sign-in")
    page.get_by_label("Sign out when not used for").select_option("0")
    page.locator("#sign-in input").fill(AUTH_KEY)
    page.locator("#sign-in input").press("Enter")
    page.locator("nav#nav").wait_for(state="attached")
    page.clock.fast_forward("20:00:00")
    tab.settle()
    assert stored(tab) == AUTH_KEY
