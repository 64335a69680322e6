# SPDX-License-Identifier: MIT
"""An operator's first day, from an empty installation, with the mouse and again without."""

import re

import pytest
from hands import BOTH
from playwright.sync_api import expect

from lib import vendors
from lib.gateway import AUTH_KEY

KEYS = 10_000


class Operator:
    def __init__(self, tab, hands):
        self.tab = tab
        self.page = tab.page
        self.hands = hands

    def button(self, name, **rest):
        return self.page.get_by_role("button", name=name, exact=True, **rest)

    def go(self, name):
        self.hands.press(self.page.locator("nav#nav").get_by_role("link", name=name))
        self.tab.settle()

    def field(self, label):
        return self.page.get_by_label(label, exact=True)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("how", BOTH)
def test_first_day(start_gateway, provider, open_tab, how):
    gateway = start_gateway()
    keys = [f"sk-test-{n:05d}-abcdefghijkl" for n in range(KEYS)]
    vendors.speak_openai(provider, set(keys))
    tab = open_tab(gateway, sign_in=False)
    me = Operator(tab, BOTH[how](tab.page))

    sign_in(me)
    create_group(me, provider)
    import_keys(me, keys)
    try_a_key(me)
    group = gateway.api.call("GET", "/api/groups")[0]
    ask(gateway, group["name"])
    see_it_on_the_dashboard(me)
    see_it_in_the_logs(me, 1, body="")
    change_a_setting(me)
    ask(gateway, group["name"])
    see_it_in_the_logs(me, 2, body="what-the-setting-keeps")
    switch_language_and_theme(me)


def sign_in(me):
    me.tab.goto("/logs")
    expect(me.page).to_have_url(re.compile(r"/sign-in\?next="))
    me.hands.type(me.field("Management key"), "not-the-key")
    me.tab.expected = True  # the browser says that it was a 401
    me.hands.press(me.button("Sign in"))
    expect(me.page.get_by_role("alert")).not_to_be_empty()
    me.tab.expected = False
    me.hands.type(me.field("Management key"), AUTH_KEY)
    me.hands.press(me.button("Sign in"))
    # Where one wanted to go, not the beginning.
    expect(me.page).to_have_url(re.compile("/logs$"))
    expect(me.page).to_have_title("Logs · GPT-Load")
    assert AUTH_KEY not in me.page.url


def create_group(me, provider):
    me.go("Groups and keys")
    me.hands.press(me.page.locator("aside").get_by_role("button", name="New group"))
    me.hands.type(me.page.get_by_label("Name *", exact=True), "journey")
    me.hands.press(me.page.get_by_role("tab", name="Upstreams"))
    me.hands.type(me.field("Base URL"), provider.origin)
    me.hands.press(me.button("Test"))
    expect(me.page.locator("[data-test=upstream-result]")).to_contain_text("HTTP")
    me.hands.press(me.button("Save"))
    expect(me.page.locator("[data-test=endpoint]")).to_contain_text("/proxy/journey")


def import_keys(me, keys):
    me.hands.press(me.button("Import keys").first)
    dialog = me.page.get_by_role("dialog")
    me.hands.give_keys(dialog, "\n".join([*keys, keys[0], "x" * 5000]))
    me.hands.press(dialog.get_by_role("button", name="Preview"))
    counts = dialog.locator("[data-test=import-counts]")
    expect(counts).to_contain_text("New10,000")
    expect(counts).to_contain_text("Repeated1")
    expect(counts).to_contain_text("Malformed1")
    me.hands.press(dialog.get_by_role("button", name="Import 10,000 keys"))
    expect(dialog.get_by_role("progressbar")).to_be_visible()
    progress = dialog.locator("[data-test=task-progress]")
    expect(progress).to_contain_text("Done", timeout=60_000)
    expect(progress).to_contain_text("10,000 added")
    me.hands.press(dialog.get_by_role("button", name="Close", exact=True))
    expect(me.page.locator("[data-test=total]")).to_contain_text("of 10,000")


def try_a_key(me):
    me.hands.open_row(me.page.locator("tbody tr[data-index]").first)
    drawer = me.page.locator("[data-test=key-drawer]")
    me.hands.press(drawer.get_by_role("button", name="Test", exact=True))
    expect(drawer.locator("[data-test=key-tested]")).to_contain_text("Valid")
    me.page.keyboard.press("Escape")
    expect(drawer).to_be_hidden()
    expect(me.page).not_to_have_url(re.compile("key="))


def ask(gateway, group):
    got = gateway.client.request(
        "POST", f"/proxy/{group}/v1/chat/completions", gateway.headers(),
        json={"model": "gpt-4.1-nano", "user": "what-the-setting-keeps",
              "messages": [{"role": "user", "content": "Say hello."}]})
    assert got.status == 200


def see_it_on_the_dashboard(me):
    me.go("Dashboard")
    expect(me.page.locator("[data-test=card-requests] .value")).to_have_text("1")
    expect(me.page.locator("[data-test=updated]")).to_contain_text("updated")
    me.hands.press(me.button("gpt-4.1-nano"))
    expect(me.page).to_have_url(re.compile("/logs.*model=gpt-4.1-nano"))
    me.page.go_back()
    expect(me.page).to_have_title("Dashboard · GPT-Load")


def see_it_in_the_logs(me, rows, body):
    me.go("Logs")
    expect(me.page.locator("[data-test=total]")).to_contain_text(f"of {rows}")
    me.hands.open_row(me.page.locator("tbody tr[data-index]").first)
    panel = me.page.locator("[data-test=log-panel]")
    expect(panel).to_contain_text("/proxy/journey/v1/chat/completions")
    if body:
        expect(panel.locator("pre")).to_contain_text(body)
    else:
        expect(panel.locator("pre")).to_have_count(0)
    me.page.keyboard.press("Escape")
    expect(panel).to_be_hidden()


def change_a_setting(me):
    me.go("Settings")
    me.hands.toggle(me.page.locator("#setting-enable_request_body_logging"))
    expect(me.page.locator("[data-setting=enable_request_body_logging]")).to_contain_text("Changed")
    me.hands.type(me.page.locator("#setting-max_retries"), "99999")
    me.tab.expected = True  # the browser says that it was a 400
    me.hands.press(me.button("Save"))
    line = me.page.locator("[data-setting=max_retries]")
    expect(line.get_by_role("alert")).to_contain_text("max_retries")
    me.tab.expected = False
    me.hands.type(me.page.locator("#setting-max_retries"), "2")
    me.hands.press(me.button("Save"))
    expect(me.page.get_by_role("status").filter(has_text="Saved")).to_be_visible()
    expect(me.button("Save")).to_be_hidden()


def switch_language_and_theme(me):
    me.page.evaluate("window.sameDocument = true")
    me.hands.choose(me.page.get_by_label("Theme"), "dark")
    assert me.page.evaluate("document.documentElement.classList.contains('dark')")
    me.hands.choose(me.page.get_by_label("Language"), "ja-JP")
    expect(me.page.locator("html")).to_have_attribute("lang", "ja-JP")
    expect(me.page).to_have_title("ログ · GPT-Load")
    me.go("設定")
    expect(me.page).to_have_title("設定 · GPT-Load")
    retries = me.page.locator("[data-setting=max_retries]")
    japanese = retries.inner_text()
    me.hands.choose(me.page.get_by_label("言語"), "zh-CN")
    expect(me.page).to_have_title("设置 · GPT-Load")
    # The server's own texts follow.
    expect(retries).not_to_have_text(japanese, use_inner_text=True)
    assert me.page.evaluate("window.sameDocument") is True
