# SPDX-License-Identifier: MIT
"""The server away, slow, or answering errors: the page says so and recovers by itself,
and nothing that was typed is lost. What a provider writes is text and nothing else."""

import os
import re
import signal

import pytest
from playwright.sync_api import expect

from lib.gateway import AUTH_KEY, processes
from lib.provider import answer
from lib.wait import until

DOWN = "The server cannot be reached"
SLOW = "The server is slow"

# Runs if any of it becomes an element.
CANARY = "<img src=x onerror='window.canary=1'><svg onload=window.canary=1></svg>{{7*7}}"


@pytest.fixture
def stack(start_gateway, provider):
    gateway = start_gateway()
    group = gateway.api.create_group(provider.origin, name="one", keys=["sk-secret-value-0001"])
    gateway.ask(group)
    return gateway, group


def status(tab):
    return tab.page.locator("main [role=status]").first


def test_the_server_goes_and_comes_back(stack, open_tab):
    gateway, group = stack
    tab = open_tab(gateway, f"/groups/{group.id}/edit")
    description = tab.page.get_by_label("Description")
    description.fill("typed before the server went")
    tab.expected = True  # the browser's own lines about refused connections
    gateway.stop_web()
    tab.page.locator("nav#nav").get_by_role("link", name="Tasks").click()
    tab.page.get_by_role("dialog").get_by_role("button", name="Cancel").click()
    tab.page.get_by_role("button", name="Save", exact=True).click()
    expect(tab.page.get_by_role("alert").filter(has_text="cannot be reached").first).to_be_visible()
    expect(status(tab)).to_contain_text(DOWN)
    gateway.start_web()
    expect(status(tab)).not_to_contain_text(DOWN)
    tab.expected = False
    assert description.input_value() == "typed before the server went"
    tab.page.get_by_role("button", name="Save", exact=True).click()
    expect(tab.page).to_have_url(re.compile(f"/groups/{group.id}$"))
    assert gateway.api.call("GET", f"/api/groups/{group.id}")["description"].startswith("typed")


def test_a_view_fills_by_itself_once_the_server_is_back(stack, open_tab):
    gateway, _ = stack
    tab = open_tab(gateway, "/tasks")
    tab.expected = True
    gateway.stop_web()
    tab.page.locator("nav#nav").get_by_role("link", name="Logs").click()
    expect(status(tab)).to_contain_text(DOWN)
    gateway.start_web()
    expect(tab.page.locator("tbody tr[data-index]")).to_have_count(1)
    expect(status(tab)).not_to_contain_text(DOWN)


def test_who_was_signed_out_meanwhile_is_not_refused(stack, open_tab):
    """The page asked on for what needs a key: refused, and counted as a wrong key."""
    gateway, _ = stack
    tab = open_tab(gateway, "/tasks")
    tab.settle()
    tab.expected = True
    gateway.stop_web()
    # With the next look at the tasks. (Another view would be loaded anew in the end.)
    expect(status(tab)).to_contain_text(DOWN, timeout=30_000)
    tab.page.get_by_role("button", name="Sign out").click()
    expect(tab.page).to_have_url(re.compile("/sign-in"))
    tab.asked.clear()
    gateway.start_web()
    until(lambda: tab.page.evaluate("true") and tab.asked, "the page asks whether it is back")
    assert set(tab.asked) == {f"{tab.origin}/health"}
    tab.expected = False
    tab.page.locator("#sign-in input").fill(AUTH_KEY)
    tab.page.keyboard.press("Enter")
    expect(tab.page).to_have_url(re.compile("/tasks"))
    tab.settle()


def test_a_slow_server_is_said_to_be_slow(stack, open_tab):
    gateway, _ = stack
    tab = open_tab(gateway, "/tasks")
    tab.settle()
    programs = [pid for pid, (_, line) in processes().items()
                if "api.fcgi" in line and str(gateway.build) in line
                and in_session_of(pid, gateway.web.pid)]
    assert programs
    try:
        for pid in programs:
            os.kill(pid, signal.SIGSTOP)
        tab.page.locator("nav#nav").get_by_role("link", name="Settings").click()
        expect(tab.page.locator(".skeleton").first).to_be_visible()
        expect(status(tab)).to_contain_text(SLOW)
    finally:
        for pid in programs:
            os.kill(pid, signal.SIGCONT)
    expect(tab.page.locator("[data-setting=max_retries]")).to_be_visible()
    expect(status(tab)).not_to_contain_text(SLOW)


def in_session_of(pid, ancestor):
    while pid > 1:
        if pid == ancestor:
            return True
        pid = processes().get(pid, (0, ""))[0]
    return False


def test_a_database_that_is_gone_is_named(stack, open_tab):
    gateway, _ = stack
    tab = open_tab(gateway, "/tasks")
    tab.settle()
    tab.expected = True  # 503s
    file, away = gateway.data / "gpt-load.db", gateway.data / "away.db"
    file.rename(away)
    try:
        tab.page.locator("nav#nav").get_by_role("link", name="Groups and keys").click()
        expect(status(tab)).to_contain_text(DOWN)
    finally:
        away.rename(file)
    expect(tab.page.locator("[data-test=endpoint]")).to_contain_text("/proxy/one")
    expect(status(tab)).not_to_contain_text(DOWN)


def test_a_key_that_no_longer_fits_leads_to_sign_in_and_back(stack, open_tab):
    gateway, group = stack
    tab = open_tab(gateway, "/tasks")
    tab.page.evaluate("sessionStorage.setItem('gpt-load-key', 'an-older-key')")
    tab.expected = True  # 401s
    tab.goto(f"/groups/{group.id}?tab=details")
    expect(tab.page).to_have_url(re.compile("/sign-in"))
    tab.expected = False
    tab.page.locator("#sign-in input").fill(AUTH_KEY)
    tab.page.keyboard.press("Enter")
    expect(tab.page).to_have_url(re.compile(rf"/groups/{group.id}\?tab=details"))


def test_edits_are_not_lost_by_a_click_or_by_back(stack, open_tab):
    gateway, group = stack
    tab = open_tab(gateway, f"/groups/{group.id}")
    tab.page.get_by_role("button", name="Edit", exact=True).click()
    name = tab.page.get_by_label("Display name")
    name.fill("half done")
    dialog = tab.page.get_by_role("dialog")
    for leave in (lambda: tab.page.locator("nav#nav").get_by_role("link", name="Logs").click(),
                  tab.page.go_back):
        leave()
        dialog.get_by_role("button", name="Cancel").click()
        expect(dialog).to_be_hidden()
        expect(tab.page).to_have_url(re.compile("/edit$"))
        assert name.input_value() == "half done"
    tab.page.locator("nav#nav").get_by_role("link", name="Logs").click()
    dialog.get_by_role("button", name="Leave").click()
    expect(tab.page).to_have_title("Logs · GPT-Load")


def test_what_a_provider_says_is_shown_as_text(start_gateway, provider, open_tab):
    gateway = start_gateway()
    group = gateway.api.create_group(provider.origin, name="one", keys=["sk-x-0123456789"],
                                     display_name=CANARY, description=CANARY)
    key = group.key_list()[0]
    gateway.api.call("PUT", f"/api/keys/{key['id']}/notes", {"notes": CANARY})
    gateway.api.set(enable_request_body_logging=True)
    provider.on(answer(401, json={"error": {"message": CANARY, "code": "invalid_api_key"}}))
    gateway.ask(group, json={"model": CANARY, "messages": [{"role": "user", "content": CANARY}]})
    row = gateway.api.logs(1)[-1]
    tab = open_tab(gateway)
    for path in ("/?range=1h", "/logs", f"/logs?row={row['id']}", f"/logs?model={CANARY[:20]}",
                 f"/groups/{group.id}", f"/groups/{group.id}?key={key['id']}",
                 f"/groups/{group.id}?tab=details", f"/groups/{group.id}/edit"):
        tab.goto(path)
        tab.settle()
        expect(tab.page.locator("body")).to_contain_text("<img src=x" if "edit" not in path
                                                         else "Edit")
        assert tab.page.evaluate("window.canary") is None
    panel = tab.goto(f"/logs?row={row['id']}") or tab.page.locator("[data-test=log-panel]")
    expect(panel).to_contain_text(CANARY)
    assert tab.page.locator("main img, .el-drawer img").count() == 0


def test_no_address_holds_a_secret(stack, open_tab):
    gateway, group = stack
    tab = open_tab(gateway, f"/groups/{group.id}")
    tab.page.get_by_label("Find a key by its full value").fill("sk-secret-value-0001")
    tab.page.keyboard.press("Enter")
    drawer = tab.page.locator("[data-test=key-drawer]")
    drawer.get_by_role("button", name="Show").click()
    expect(drawer).to_contain_text("sk-secret-value-0001")
    drawer.get_by_role("link", name="All in the logs").click()
    expect(tab.page.locator("tbody tr[data-index]")).to_have_count(1)
    with tab.page.expect_download() as download:
        tab.page.get_by_role("button", name="Export").click()
        tab.page.get_by_role("menuitem", name="CSV").click()
    assert "gpt-" in open(download.value.path()).read()
    seen = [*tab.asked, tab.page.url]
    assert not [url for url in seen if "sk-secret" in url or AUTH_KEY in url]
    # Lists bring keys masked.
    assert "sk-secret-value-0001" not in tab.page.content()


def names(tab):
    return tab.page.locator("aside li .name").all_inner_texts()


@pytest.mark.parametrize("how", ["keyboard", "mouse"])
def test_groups_are_put_into_order(start_gateway, provider, open_tab, how):
    gateway = start_gateway()
    for sort, name in enumerate(["first", "second", "third"]):
        gateway.api.create_group(provider.origin, name=name, sort=sort)
    tab = open_tab(gateway, "/groups")
    expect(tab.page.locator("aside li")).to_have_count(3)
    handle = tab.page.get_by_role("button", name="Move first", exact=True)
    if how == "keyboard":
        handle.focus()
        tab.page.keyboard.press("ArrowDown")
        expect(handle).to_be_focused()
        tab.page.keyboard.press("ArrowDown")
    else:
        there = tab.page.locator("aside li").nth(2).bounding_box()
        handle.hover()
        tab.page.mouse.down()
        tab.page.mouse.move(there["x"] + 10, there["y"] + there["height"] - 4, steps=8)
        tab.page.mouse.up()
    assert names(tab) == ["second", "third", "first"]
    until(lambda: [one["name"] for one in gateway.api.call("GET", "/api/groups")]
          == ["second", "third", "first"], "the order is stored")
