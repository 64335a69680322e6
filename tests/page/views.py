# SPDX-License-Identifier: MIT
"""Every view and every dialog of the page: its address, and how it is opened."""

import dataclasses
from collections.abc import Callable


@dataclasses.dataclass(frozen=True)
class View:
    name: str
    path: str  # with {group}, {aggregate}, {empty}, {key}, {log}
    then: Callable = None  # (page) → what is to be clicked

    def open(self, tab, path):
        # Within the page: a load anew would lose nothing but time.
        tab.goto(path)
        tab.settle()
        if self.then:
            self.then(tab.page)
            tab.settle()
        tab.page.mouse.move(0, 0)


def resolve(view, groups, gateway):
    chat = groups["chat"]
    key = chat.key_list(status="invalid")[0]["id"] if "{key}" in view.path else 0
    log = chat.logs()[0]["id"] if "{log}" in view.path else ""
    return view.path.format(group=chat.id, aggregate=groups["both"].id,
                            empty=groups["starved"].id, key=key, log=log)


def test_id(name):
    return f"[data-test={name}]"


VIEWS = [
    View("dashboard", "/?range=1h"),
    View("group-keys", "/groups/{group}"),
    View("group-sorted", "/groups/{group}?sort=failures"),
    View("group-selected", "/groups/{group}", lambda page: [
        page.locator("tbody input[type=checkbox]").nth(n).click() for n in range(3)]),
    View("group-empty", "/groups/{empty}"),
    View("group-members", "/groups/{aggregate}"),
    View("group-details", "/groups/{group}?tab=details"),
    View("group-clients", "/groups/{group}?tab=clients"),
    View("key", "/groups/{group}?key={key}",
         lambda page: page.locator(test_id("key-drawer")).wait_for()),
    View("import", "/groups/{group}?import=1", lambda page: page.locator("textarea").wait_for()),
    View("editor", "/groups/{group}/edit"),
    View("editor-upstreams", "/groups/{group}/edit",
         lambda page: page.locator("#tab-upstreams").click()),
    View("editor-headers", "/groups/{group}/edit",
         lambda page: page.locator("#tab-headers").click()),
    View("editor-models", "/groups/{group}/edit",
         lambda page: page.locator("#tab-models").click()),
    View("editor-overrides", "/groups/{group}/edit",
         lambda page: page.locator("#tab-overrides").click()),
    View("editor-json", "/groups/{group}/edit",
         lambda page: page.locator("#tab-json").click()),
    View("editor-changes", "/groups/{group}/edit", lambda page: [
        page.get_by_role("textbox").nth(1).fill("Another name"),
        page.locator(test_id("unsaved")).click()]),
    View("new-aggregate", "/groups/new?type=aggregate",
         lambda page: page.locator("#tab-members").click()),
    View("logs", "/logs"),
    View("logs-filtered", "/logs?range=1h&is_success=false"),
    View("logs-columns", "/logs", lambda page: page.locator("details summary").click()
         if page.viewport_size["width"] >= 700 else None),
    View("log", "/logs?row={log}", lambda page: page.locator(test_id("log-panel")).wait_for()),
    View("tasks", "/tasks"),
    View("settings", "/settings"),
    View("guide", "/guide"),
    View("not-found", "/no-such-page"),
    View("go-to", "/tasks", lambda page: [
        page.keyboard.press("Control+k"), page.get_by_role("combobox").first.wait_for()]),
]
