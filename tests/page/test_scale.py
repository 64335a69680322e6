# SPDX-License-Identifier: MIT
"""Half a million keys in one group: pages come at once, and cost the tab no memory."""

import statistics

import pytest
from playwright.sync_api import expect

from lib.browser import open_page
from lib.gateway import AUTH_KEY
from lib.wait import until

KEYS = 500_000
PAGES = 40
ROWS_MS = 100
HEAP_MB = 150


@pytest.mark.scale
@pytest.mark.serial
@pytest.mark.timeout(900)
def test_half_a_million_keys(start_gateway, provider, browser):
    gateway = start_gateway()
    group = gateway.api.create_group(provider.origin, name="large")
    task = gateway.api.call("POST", "/api/keys/add-async", {
        "group_id": group.id,
        "keys_text": " ".join(f"sk-scale-{n:06d}-abcdef" for n in range(KEYS))})
    until(lambda: gateway.api.call("GET", f"/api/tasks/{task['id']}")["state"] == "done",
          "the keys are imported", 600, every=0.5)
    with open_page(browser, gateway) as tab:
        tab.sign_in(AUTH_KEY, f"/groups/{group.id}")
        page = tab.page
        expect(page.locator("[data-test=total]")).to_contain_text("of 500,000")
        waits = [turn(page) for _ in range(PAGES)]
        scrolled = [scroll(page) for _ in range(20)]
        page.get_by_label("Page number").fill("5000")
        page.keyboard.press("Enter")
        expect(page.locator("[data-test=total]")).to_contain_text("499,901–500,000")
        rows = page.locator("tbody tr[data-index]").count()
        heap = tab.heap_mb()
        print(f"next page: median {statistics.median(waits):.0f} ms, most {max(waits):.0f} ms; "
              f"scrolling: most {max(scrolled):.0f} ms; {rows} rows in the document; "
              f"heap {heap:.0f} MiB")
        tab.check()
    assert statistics.median(waits) <= ROWS_MS
    assert max(scrolled) <= ROWS_MS
    assert rows < 100
    assert heap < HEAP_MB


def turn(page):
    """Milliseconds from the click until other rows are painted."""
    wait = page.evaluate("""async () => {
        const first = () => document.querySelector('tbody tr[data-index]')?.dataset.id
        const before = first()
        const began = performance.now()
        document.querySelector('[data-test=next-page]').click()
        while (first() === before || document.querySelector('tbody.stale'))
            await new Promise(requestAnimationFrame)
        return performance.now() - began
    }""")
    # The reader looks at it; meanwhile the page after it comes.
    page.wait_for_load_state("networkidle")
    return wait


def scroll(page):
    """Milliseconds until what is scrolled to is there."""
    return page.evaluate("""async () => {
        const box = document.querySelector('.keys .box')
        const began = performance.now()
        box.scrollTop = (box.scrollTop + 1200) % (box.scrollHeight - box.clientHeight)
        const shown = () => [...document.querySelectorAll('tbody tr[data-index]')].some((row) => {
            const at = row.getBoundingClientRect()
            const view = box.getBoundingClientRect()
            return at.top >= view.top + 30 && at.bottom <= view.bottom
        })
        do await new Promise(requestAnimationFrame)
        while (!shown())
        return performance.now() - began
    }""")
