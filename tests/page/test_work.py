# SPDX-License-Identifier: MIT
"""What an operator does besides: many keys at once, aggregates, validation, filters kept in
the address, settings put back."""

import csv
import json
import re

import pytest
from playwright.sync_api import expect

from lib import vendors
from lib.provider import answer
from lib.wait import until


@pytest.fixture
def stack(start_gateway, provider):
    gateway = start_gateway()
    good = [f"sk-good-{n}-abcdefgh" for n in range(5)]
    vendors.speak_openai(provider, set(good))
    group = gateway.api.create_group(provider.origin, name="one", keys=good,
                                     config={"blacklist_threshold": 1})
    gateway.api.add_keys(group, ["sk-dead-1-abcdefgh", "sk-dead-2-abcdefgh"])
    return gateway, group


def rows(tab):
    return tab.page.locator("tbody tr[data-index]")


def test_many_keys_at_once_by_keyboard(stack, open_tab):
    gateway, group = stack
    tab = open_tab(gateway, f"/groups/{group.id}")
    page = tab.page
    expect(rows(tab)).to_have_count(7)
    tab.settle()
    rows(tab).first.focus()
    page.keyboard.press("Space")
    bar = page.get_by_role("toolbar")
    expect(bar).to_contain_text("1 selected")
    for key in ("ArrowDown", "Space"):
        page.keyboard.press(key)
    expect(bar).to_contain_text("2 selected")
    bar.get_by_role("button", name="Disable").click()
    page.get_by_role("dialog").get_by_label("Reason").fill("over budget")
    page.get_by_role("dialog").get_by_role("button", name="Disable").click()
    expect(page.locator("[data-test=numbers]")).to_contain_text("Disabled2")
    page.get_by_label("Filter by state").select_option("disabled")
    expect(rows(tab)).to_have_count(2)
    expect(page).to_have_url(re.compile("status=disabled"))
    page.get_by_label("Select all rows of this page").check()
    bar.get_by_role("button", name="Restore").click()
    expect(page.get_by_text("No key matches")).to_be_visible()
    page.go_back()
    expect(rows(tab)).to_have_count(7)
    assert {row["status"] for row in group.key_list()} == {"active"}


def test_sorted_and_searched_and_back(stack, open_tab):
    gateway, group = stack
    ids = {row["key_value"]: row["id"] for row in group.key_list()}
    gateway.api.call("PUT", f"/api/keys/{ids['sk-good-3-abcdefgh']}/notes", {"notes": "research"})
    tab = open_tab(gateway, f"/groups/{group.id}", width=1600)
    added = tab.page.get_by_role("button", name="Added")
    added.click()
    added.click()
    expect(tab.page.get_by_role("columnheader", name="Added")).to_have_attribute(
        "aria-sort", "ascending")
    expect(rows(tab).first).to_have_attribute("data-id", str(ids["sk-good-0-abcdefgh"]))
    tab.page.go_back()
    expect(rows(tab).first).to_have_attribute("data-id", str(ids["sk-dead-2-abcdefgh"]))
    tab.page.get_by_label("Note or error contains").fill("resea")
    tab.page.keyboard.press("Enter")
    expect(rows(tab)).to_have_count(1)
    tab.page.reload()
    expect(rows(tab)).to_have_count(1)


def test_keys_that_are_idle(stack, open_tab):
    gateway, group = stack
    gateway.ask(group)
    gateway.api.logs(1, group_name="one", request_type="final")
    used = next(row for row in group.key_list() if row["last_used_at"])
    tab = open_tab(gateway, f"/groups/{group.id}")
    expect(rows(tab)).to_have_count(7)
    idle = tab.page.get_by_label("Filter by last use")
    idle.select_option("never")
    expect(rows(tab)).to_have_count(6)
    expect(tab.page).to_have_url(re.compile("idle=never"))
    assert tab.page.locator(f"tr[data-id='{used['id']}']").count() == 0
    idle.select_option("30")
    expect(tab.page).to_have_url(re.compile("idle=30"))
    expect(rows(tab)).to_have_count(6)
    tab.page.get_by_label("Filter by state").select_option("disabled")
    tab.page.get_by_role("button", name="Show all keys").click()
    expect(rows(tab)).to_have_count(7)
    expect(idle).to_have_value("")


def test_a_task_that_ends_before_the_list_is_read_is_followed_too(stack, open_tab):
    """The numbers stood at what they were until their own next turn."""
    gateway, group = stack
    tab = open_tab(gateway, f"/groups/{group.id}")
    expect(rows(tab)).to_have_count(7)
    tab.settle()
    begun = []

    def over():
        tasks = gateway.api.call("GET", "/api/tasks")
        return tasks and not any(task["is_running"] for task in tasks)

    def hold(route):
        if begun:
            until(over, "the task ends")
        route.continue_()

    tab.page.on("request", lambda sent: sent.url.endswith("/validate-group") and begun.append(sent))
    tab.page.route("**/api/tasks", hold)
    tab.page.locator("[data-test=key-menu]").click()
    tab.page.get_by_role("menuitem", name="Validate keys").click()
    tab.page.get_by_role("dialog").get_by_role("button", name="Start").click()
    expect(tab.page.locator("[data-test=numbers]")).to_contain_text("Invalid2")
    expect(tab.page.locator(".toasts")).to_contain_text("5 valid, 2 failed")


def test_validation_says_why_keys_failed(stack, open_tab):
    gateway, group = stack
    tab = open_tab(gateway, f"/groups/{group.id}")
    tab.page.locator("[data-test=key-menu]").click()
    tab.page.get_by_role("menuitem", name="Validate keys").click()
    dialog = tab.page.get_by_role("dialog")
    dialog.get_by_role("button", name="Start").click()
    expect(dialog.locator("[data-test=task-progress]")).to_contain_text("5 valid, 2 failed")
    causes = dialog.locator("[data-test=causes]")
    expect(causes).to_have_text(re.compile(r"Incorrect API key provided.*2$"))
    # A cause leads to the keys that failed by it.
    causes.get_by_role("link").click()
    expect(dialog).to_be_hidden()
    expect(rows(tab)).to_have_count(2)
    expect(tab.page.locator("[data-test=numbers]")).to_contain_text("Invalid2")
    tab.page.locator("nav#nav").get_by_role("link", name="Tasks").click()
    expect(tab.page.locator("tbody")).to_contain_text("5 valid, 2 failed")
    # What it found is there for who comes later.
    tab.page.get_by_role("button", name="Validation").click()
    drawer = tab.page.get_by_role("dialog")
    expect(drawer.locator("[data-test=causes]")).to_contain_text("Incorrect API key provided")
    drawer.get_by_role("button", name="Test the invalid ones again").click()
    expect(drawer.locator("[data-test=task-progress]")).to_contain_text("0 valid, 2 failed")
    expect(tab.page.locator("tbody tr")).to_have_count(2)


def test_a_validation_shows_every_failure_of_a_large_group(start_gateway, provider, open_tab):
    """More failures than the largest page of keys has."""
    gateway = start_gateway()
    vendors.speak_openai(provider, set())
    keys = [f"sk-dead-{n}-abcdefgh" for n in range(1200)]
    group = gateway.api.create_group(provider.origin, name="dead", keys=keys,
                                     config={"key_validation_concurrency": 20})
    tab = open_tab(gateway, f"/groups/{group.id}")
    tab.page.locator("[data-test=key-menu]").click()
    tab.page.get_by_role("menuitem", name="Validate keys").click()
    dialog = tab.page.get_by_role("dialog")
    dialog.get_by_role("button", name="Start").click()
    expect(dialog.locator("[data-test=task-progress]")).to_contain_text(
        "0 valid, 1,200 failed", timeout=60_000)
    expect(dialog.locator("[data-test=causes] dd.num")).to_have_text("1,200")


def test_a_change_to_a_key_leaves_the_list_where_it_is(start_gateway, provider, open_tab):
    gateway = start_gateway()
    group = gateway.api.create_group(
        provider.origin, name="long", keys=[f"sk-long-{n:03d}-abcdefgh" for n in range(100)])
    tab = open_tab(gateway, f"/groups/{group.id}")
    tab.settle()
    box = tab.page.get_by_role("region", name="Keys")
    box.evaluate("(one) => one.scrollTo(0, 2000)")
    low = tab.page.locator("tbody tr[data-index='80']")
    low.get_by_role("checkbox").click()
    tab.page.get_by_role("toolbar").get_by_role("button", name="Disable").click()
    tab.page.get_by_role("dialog").get_by_label("Reason").fill("spare")
    tab.page.get_by_role("dialog").get_by_role("button", name="Disable").click()
    expect(low).to_contain_text("Disabled")
    assert box.evaluate("(one) => one.scrollTop") > 1500
    tab.page.get_by_label("Filter by state").select_option("active")
    expect(tab.page.locator("[data-test=total]")).to_contain_text("99")
    assert box.evaluate("(one) => one.scrollTop") == 0


def test_an_aggregate_in_one_step(stack, open_tab):
    gateway, group = stack
    other = gateway.api.create_group("http://127.0.0.1:1", name="two", keys=["sk-two"])
    tab = open_tab(gateway, "/groups")
    tab.page.get_by_role("button", name="New aggregate").click()
    tab.page.get_by_label("Name *", exact=True).fill("both")
    tab.page.get_by_role("tab", name="Members").click()
    tab.page.get_by_role("checkbox", name="one", exact=True).check()
    tab.page.get_by_role("checkbox", name="two", exact=True).check()
    tab.page.locator("#tab-panel li", has_text="one").get_by_label("Weight").fill("30")
    tab.page.get_by_role("button", name="Save", exact=True).click()
    table = tab.page.get_by_role("region", name="Members")
    expect(table).to_contain_text("75%")
    members = gateway.api.call("GET", "/api/groups")
    both = next(one for one in members if one["name"] == "both")
    found = gateway.api.call("GET", f"/api/groups/{both['id']}/sub-groups")
    assert sorted((one["group"]["id"], one["weight"]) for one in found) == [
        (group.id, 30), (other.id, 10)]
    # What is typed is what is weighed, and its share is shown at once.
    spin = table.get_by_role("spinbutton", name="Weight of two")
    spin.fill("90")
    spin.press("Tab")
    expect(table).to_contain_text("25%")


def test_filters_of_the_logs_are_chips_in_the_address(stack, open_tab, provider):
    gateway, group = stack
    gateway.ask(group)
    gateway.ask(group, json={"model": "error-400", "messages": []})
    gateway.api.logs(2, group_name="one")
    tab = open_tab(gateway, "/logs")
    expect(rows(tab)).to_have_count(2)
    page = tab.page
    page.get_by_label("Filter by").select_option("status_code")
    page.get_by_label("Value").fill("4x")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("429")
    page.get_by_label("Value").fill("400")
    page.keyboard.press("Enter")
    expect(rows(tab)).to_have_count(1)
    expect(page).to_have_url(re.compile("status_code=400"))
    page.get_by_label("Time range").select_option("1h")
    expect(page).to_have_url(re.compile("range=1h"))
    with page.expect_download() as download:
        page.get_by_role("button", name="Export").click()
        page.get_by_role("menuitem", name="CSV").click()
    with open(download.value.path(), encoding="utf-8-sig", newline="") as file:
        lines = list(csv.DictReader(file))
    assert [(one["model"], one["status_code"]) for one in lines] == [("error-400", "400")]
    with page.expect_download() as download:
        page.get_by_role("button", name="Export").click()
        tab.settle()
        assert tab.violations() == []
        page.get_by_role("menuitem", name="JSON lines").click()
    assert download.value.suggested_filename.endswith(".jsonl")
    with open(download.value.path(), encoding="utf-8") as file:
        objects = [json.loads(line) for line in file]
    assert [(one["model"], one["status_code"], one["is_success"]) for one in objects] == [
        ("error-400", 400, False)]
    assert set(objects[0]) == set(lines[0])
    assert "*" in objects[0]["key_value"]
    page.get_by_role("button", name="Remove the filter: Status code").click()
    expect(rows(tab)).to_have_count(2)


def test_a_class_of_statuses_is_a_filter_kept_in_the_address(stack, open_tab):
    gateway, group = stack
    gateway.ask(group)
    gateway.ask(group, json={"model": "error-400", "messages": []})
    gateway.api.logs(2, group_name="one")
    tab = open_tab(gateway, "/logs")
    page = tab.page
    expect(rows(tab)).to_have_count(2)
    page.get_by_label("Filter by").select_option("status_class")
    page.get_by_label("Value").select_option("5xx")
    page.get_by_role("button", name="Add filter").click()
    expect(page.get_by_text("No request matches")).to_be_visible()
    # Typed as a status, it takes the other's place.
    page.get_by_label("Filter by").select_option("status_code")
    page.get_by_label("Value").fill("4XX")
    page.keyboard.press("Enter")
    expect(rows(tab)).to_have_count(1)
    expect(page).to_have_url(re.compile("status_class=4xx"))
    expect(page.get_by_role("list", name="Filters")).to_have_text("Status class: 4xx")
    page.reload()
    expect(rows(tab)).to_have_count(1)
    expect(rows(tab).first).to_contain_text("400")
    page.get_by_role("button", name="Remove the filter: Status class").click()
    expect(rows(tab)).to_have_count(2)


def test_a_class_on_the_dashboard_opens_its_requests(stack, open_tab, provider):
    """As many as it says there: a try that failed on the way is none of them."""
    gateway, group = stack
    provider.on(answer(500, json={"error": {"message": "once"}}), times=1)
    gateway.ask(group)
    for _ in range(2):
        gateway.ask(group, json={"model": "error-400", "messages": []})
    gateway.api.logs(4, group_name="one")
    tab = open_tab(gateway, "/?range=1h")
    page = tab.page
    classes = page.locator("section", has=page.get_by_role("heading", name="By status"))
    expect(classes).to_contain_text(re.compile(r"2xx\s*1.*4xx\s*2.*5xx\s*0", re.S))
    classes.get_by_role("button", name="4xx").click()
    expect(page).to_have_url(re.compile("range=1h.*status_class=4xx"))
    expect(rows(tab)).to_have_count(2)
    page.go_back()
    classes.get_by_role("button", name="5xx").click()
    expect(page.get_by_text("No request matches")).to_be_visible()


def test_what_failed_most_opens_its_rows(stack, open_tab, provider):
    gateway, group = stack
    gateway.ask(group)
    for n in range(3):
        provider.on(answer(422, json={"error": {"message": f"Trace req_{n}abcdefgh is odd"}}),
                    when=lambda r, n=n: f'"odd-{n}"'.encode() in r.body)
        gateway.ask(group, json={"model": f"odd-{n}", "messages": []})
    provider.on(answer(413, json={"error": {"message": "<b>too long</b>"}}),
                when=lambda r: b'"long"' in r.body)
    gateway.ask(group, json={"model": "long", "messages": []})
    tab = open_tab(gateway, f"/?range=1h&group={group.id}")
    top = tab.page.locator("[data-test=top-errors]")
    expect(top.locator("tbody tr")).to_have_count(2)
    expect(top).to_contain_text("Of all 4 failed requests.")
    expect(top.locator("tbody tr").first).to_contain_text("422")
    expect(top.locator("tbody tr").first).to_contain_text("Trace req_… is odd")
    expect(top.locator("tbody tr").nth(1)).to_contain_text("<b>too long</b>")
    top.get_by_role("button", name="Trace").click()
    expect(rows(tab)).to_have_count(3)
    expect(tab.page).to_have_url(re.compile(r"/logs\?(?=.*status_code=422)(?=.*group_name=one)"
                                            r"(?=.*error_contains=Trace)"))


def test_tries_of_one_request_are_one_row_until_asked_for(stack, open_tab, provider):
    gateway, group = stack
    provider.on(answer(500, json={"error": {"message": "first one fails"}}), times=1)
    gateway.ask(group)
    gateway.api.logs(2, group_name="one")
    tab = open_tab(gateway, "/logs")
    expect(rows(tab)).to_have_count(1)
    expect(rows(tab).first).to_contain_text("×2")
    rows(tab).first.click()
    panel = tab.page.locator("[data-test=log-panel]")
    expect(panel.locator("ol li")).to_have_count(2)
    panel.locator("ol li").first.get_by_role("button").click()
    expect(panel.locator(".error")).to_contain_text("first one fails")
    tab.page.keyboard.press("Escape")
    tab.page.locator(".el-switch", has=tab.page.get_by_role("switch", name="Every try")).click()
    expect(rows(tab)).to_have_count(2)


def test_a_body_is_fetched_when_its_request_is_looked_at(stack, open_tab):
    gateway, group = stack
    group.configure(enable_request_body_logging=True)
    gateway.ask(group, json={"model": "m", "messages": [], "note": "only in the body"})
    gateway.api.logs(1, group_name="one")
    tab = open_tab(gateway, "/logs")
    expect(rows(tab)).to_have_count(1)
    lists = [url for url in tab.asked if "/api/logs?" in url]
    assert lists and all("with_bodies=false" in url for url in lists)
    rows(tab).first.click()
    expect(tab.page.locator("[data-test=log-panel] pre")).to_contain_text("only in the body")


def test_the_columns_of_the_logs_are_chosen_and_kept(stack, open_tab):
    gateway, group = stack
    gateway.ask(group)
    gateway.api.logs(1, group_name="one")
    tab = open_tab(gateway, "/logs")
    page = tab.page
    expect(rows(tab)).to_have_count(1)
    heads = page.get_by_role("columnheader")
    expect(heads).to_have_text(["Time", "Status", "Model", "Group", "Error", "Key", "Tokens",
                                "Duration"])
    page.get_by_text("Columns", exact=True).first.click()
    page.get_by_role("checkbox", name="Upstream").check()
    page.get_by_role("checkbox", name="Key").uncheck()
    page.keyboard.press("Escape")
    expect(page.get_by_role("checkbox", name="Key")).to_be_hidden()
    page.reload()
    expect(heads).to_have_text(["Time", "Status", "Model", "Group", "Error", "Upstream", "Tokens",
                                "Duration"])
    expect(rows(tab).first).to_contain_text("/v1/chat/completions")


def test_everything_is_found_by_typing(stack, open_tab):
    gateway, group = stack
    gateway.api.create_group("http://127.0.0.1:1", name="two", display_name="The second")
    tab = open_tab(gateway, "/")
    page = tab.page
    dialog = page.get_by_role("dialog", name="Go to")
    field = dialog.get_by_role("combobox")
    page.keyboard.press("Control+k")
    expect(field).to_be_focused()
    page.keyboard.type("second")
    expect(dialog.get_by_role("option")).to_have_text(["The secondtwo", "Import keys into The secondtwo"])
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="The second", level=1)).to_be_visible()
    expect(dialog).to_be_hidden()
    page.get_by_role("button", name="Go to").click()
    expect(field).to_be_focused()
    expect(field).to_have_value("")
    page.keyboard.type("second")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog", name="Import keys into The second")).to_be_visible()
    page.keyboard.press("Escape")
    page.keyboard.press("Control+k")
    expect(field).to_be_focused()
    page.keyboard.type("none of these")
    expect(dialog.get_by_role("status")).to_contain_text("Nothing")
    field.fill("settings")
    dialog.get_by_role("option", name="Settings").click()
    expect(page.get_by_role("heading", name="Settings", level=1)).to_be_visible()


def test_new_rows_come_by_themselves_while_live(stack, open_tab):
    gateway, group = stack
    gateway.ask(group)
    tab = open_tab(gateway, "/logs?live=1")
    expect(rows(tab)).to_have_count(1)
    gateway.ask(group)
    expect(rows(tab)).to_have_count(2)


def test_a_setting_is_put_back_and_says_who_overrides_it(stack, open_tab):
    gateway, group = stack
    gateway.api.set(max_retries=7)
    tab = open_tab(gateway, "/settings")
    line = tab.page.locator("[data-setting=max_retries]")
    line.get_by_role("button", name="Reset to default (3)").click()
    expect(line).to_contain_text("Changed")
    tab.page.get_by_role("button", name="Save", exact=True).click()
    expect(line).not_to_contain_text("Changed")
    assert gateway.api.settings()["max_retries"] == 3
    threshold = tab.page.locator("[data-setting=blacklist_threshold]")
    expect(threshold.get_by_role("link")).to_contain_text("one (1)")
    tab.page.get_by_label("Search settings").fill("heartbeat")
    expect(tab.page.locator("[data-setting]")).to_have_count(1)


def test_the_guide_leads_to_a_first_request(start_gateway, provider, open_tab):
    gateway = start_gateway()
    vendors.speak_openai(provider, {"sk-first-key-0001"})
    tab = open_tab(gateway, "/")
    page = tab.page
    page.get_by_role("button", name="Begin with the guide").click()
    page.get_by_label("Base URL").fill(provider.origin)
    page.get_by_role("button", name="New group").click()
    page.get_by_role("button", name="Import keys").click()
    dialog = page.get_by_role("dialog")
    dialog.locator("textarea").fill("sk-first-key-0001")
    dialog.get_by_role("button", name="Preview").click()
    dialog.get_by_role("button", name="Import 1 key").click()
    expect(dialog.locator("[data-test=task-progress]")).to_contain_text("1 added")
    dialog.get_by_role("button", name="Close", exact=True).click()
    page.get_by_role("button", name="Test a key").click()
    expect(page.get_by_role("status").filter(has_text="Valid")).to_be_visible()
    expect(page.locator("[data-test=snippet]")).to_contain_text("/proxy/openai/v1/chat/completions")
    page.get_by_role("button", name="Python").click()
    expect(page.locator("[data-test=snippet]")).to_contain_text("from openai import OpenAI")
    # Where one was is where one comes back to.
    page.reload()
    expect(page.get_by_text("Created")).to_be_visible()


def stored(gateway, group):
    return gateway.api.call("GET", f"/api/groups/{group.id}")


def test_what_saving_would_change_is_shown_before(stack, open_tab):
    gateway, group = stack
    tab = open_tab(gateway, f"/groups/{group.id}/edit")
    page = tab.page
    crumbs = page.get_by_role("navigation", name="Where this is")
    expect(crumbs).to_have_text(re.compile("Groups and keys.*one"))
    page.get_by_label("Display name").fill("Main")
    page.locator("#tab-upstreams").click()
    page.get_by_label("Weight").first.fill("7")
    page.get_by_label("Weight").first.press("Tab")
    page.locator("[data-test=unsaved]").click()
    shown = page.locator("[data-test=changes]")
    expect(shown.locator("dt")).to_have_count(2)
    expect(shown).to_contain_text(re.compile(r"Display name.*empty.*→.*Main.*Upstreams.*1.*→.*7",
                                             re.S))
    expect(page.get_by_role("tab", name="Changes (2)")).to_have_attribute("aria-selected", "true")
    assert tab.violations() == []
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_role("heading", name="Main")).to_be_visible()
    assert stored(gateway, group)["upstreams"][0]["weight"] == 7


def test_what_somebody_else_has_saved_meanwhile_is_not_undone_unasked(stack, open_tab):
    gateway, group = stack
    tab = open_tab(gateway, f"/groups/{group.id}/edit")
    page = tab.page
    page.get_by_label("Display name").fill("mine")
    expect(page.locator("[data-test=unsaved]")).to_have_text("Not saved: Display name")
    group.update(description="theirs")
    page.get_by_role("button", name="Save", exact=True).click()
    # Different parts: both are kept, without a question.
    expect(page.get_by_role("heading", name="mine")).to_be_visible()
    now = stored(gateway, group)
    assert (now["display_name"], now["description"]) == ("mine", "theirs")

    page.get_by_role("button", name="Edit", exact=True).click()
    page.get_by_label("Display name").fill("mine again")
    group.update(display_name="theirs")
    page.get_by_role("button", name="Save", exact=True).click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("Display name")
    dialog.get_by_role("button", name="Cancel").click()
    assert stored(gateway, group)["display_name"] == "theirs"
    expect(page.get_by_label("Display name")).to_have_value("mine again")
    page.get_by_role("button", name="Save", exact=True).click()
    dialog.get_by_role("button", name="Overwrite").click()
    expect(page.get_by_role("heading", name="mine again")).to_be_visible()
    assert stored(gateway, group)["display_name"] == "mine again"


def test_a_group_is_copied_and_deleted_by_its_name(stack, open_tab):
    gateway, group = stack
    tab = open_tab(gateway, f"/groups/{group.id}")
    page = tab.page
    page.get_by_role("button", name="More actions").click()
    page.get_by_role("menuitem", name="Duplicate").click()
    page.get_by_role("dialog").get_by_role("button", name="Duplicate").click()
    expect(page.locator("[data-test=endpoint]")).to_contain_text("/proxy/one_copy")
    expect(page.locator("[data-test=numbers]")).to_contain_text("Keys7")
    page.get_by_role("button", name="More actions").click()
    page.get_by_role("menuitem", name="Delete").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("button", name="Delete")).to_be_disabled()
    dialog.get_by_role("textbox").fill("one_copy")
    dialog.get_by_role("button", name="Delete").click()
    expect(page.locator("aside li")).to_have_count(1)
    assert [one["name"] for one in gateway.api.call("GET", "/api/groups")] == ["one"]
