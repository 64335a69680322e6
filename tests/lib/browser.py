# SPDX-License-Identifier: MIT
"""Chromium on the page of a real stack, watched: what it complains of, and whom it asks."""

import contextlib
import itertools
import json
import pathlib
import shutil

from playwright.sync_api import sync_playwright

from .gateway import BUILD, ROOT

FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
         "--disable-background-networking", "--disable-component-update", "--disable-sync",
         "--js-flags=--expose-gc", "--enable-precise-memory-info"]

# Where `make` and a developer's own build have it.
AXE_PLACES = (BUILD / "static" / "work", ROOT / "static")

RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]

DEADLINE_MS = 20_000

_looks = itertools.count(1)


def axe_source():
    for place in AXE_PLACES:
        file = place / "node_modules" / "axe-core" / "axe.min.js"
        if file.exists():
            return file.read_text()
    raise AssertionError("axe-core is not there: build the page with npm")


@contextlib.contextmanager
def chromium():
    """The browser; its pages come from open_page()."""
    program = shutil.which("chromium")
    assert program, "chromium is not installed"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=FLAGS)
        yield browser
        browser.close()


class Watched:
    """A tab of its own profile. `complaints` must stay empty: errors of scripts, breaches
    of the policy, answers that are missing; `strangers` are requests to other hosts."""

    def __init__(self, browser, origin, locale="en-US", scheme="light", width=1280, height=900,
                 theme=None):
        self.origin = origin
        self.complaints = []
        self.strangers = []
        self.asked = []
        # While a test takes the server away, what fails then is no fault of the page.
        self.expected = False
        self.context = browser.new_context(
            locale=locale, color_scheme=scheme, accept_downloads=True,
            viewport={"width": width, "height": height})
        self.context.set_default_timeout(DEADLINE_MS)
        stored = {"gpt-load-locale": locale, **({"gpt-load-theme": theme} if theme else {})}
        self.context.add_init_script(
            "for (const [name, value] of Object.entries(" + json.dumps(stored) + "))"
            " if (localStorage.getItem(name) === null) localStorage.setItem(name, value)")
        self.page = self.context.new_page()
        self.page.on("console", self._console)
        self.page.on("pageerror", lambda error: self._complain(f"script: {error}"))
        self.page.on("request", self._request)

    def _complain(self, text):
        if not self.expected:
            self.complaints.append(text)

    def _console(self, message):
        if message.type in ("error", "warning"):
            self._complain(f"{message.type}: {message.text} {message.location.get('url', '')}")

    def _request(self, request):
        self.asked.append(request.url)
        if not request.url.startswith((self.origin + "/", "blob:")):
            self.strangers.append(request.url)

    def goto(self, path="/"):
        self.page.goto(self.origin + path)

    def sign_in(self, key, path="/"):
        self.goto(path)
        self.page.locator("#sign-in input").fill(key)
        self.page.keyboard.press("Enter")
        self.page.locator("nav#nav").wait_for(state="attached")

    def settle(self):
        """Until no skeleton is on the page and no motion is under way, for some frames: what
        appears lies there for two of them before its motion begins."""
        self.page.wait_for_function(
            """(look) => {
                const still = document.querySelector('main') && !document.querySelector('.skeleton')
                    && document.getAnimations().every((one) => one.playState !== 'running');
                if (!still || window.settling?.look !== look)
                    window.settling = { look, frames: 0 };
                return ++window.settling.frames > 4;
            }""", arg=next(_looks))

    def violations(self):
        """What axe finds on the page as it is."""
        self.page.evaluate(axe_source())
        found = self.page.evaluate(
            "(rules) => axe.run(document, { runOnly: rules }).then((result) => ({"
            " passes: result.passes.length,"
            " bad: result.violations.map((one) => one.id + ': ' + one.nodes.map((node) =>"
            "   node.html.slice(0, 160) + ' ' + (node.any[0]?.message ?? node.failureSummary ?? '')"
            " ).join(' | ')) }))", RULES)
        assert found["passes"] > 10, "axe looked at nothing"
        return found["bad"]

    def heap_mb(self):
        """Of the page's scripts, after a collection."""
        return self.page.evaluate("() => { gc(); return performance.memory.usedJSHeapSize }") / 2**20

    def check(self):
        assert self.complaints == [], self.complaints
        assert self.strangers == [], self.strangers

    def close(self):
        self.context.close()


@contextlib.contextmanager
def open_page(browser, gateway, **options):
    one = Watched(browser, f"http://127.0.0.1:{gateway.port}", **options)
    try:
        yield one
    finally:
        one.close()


def save(page, name, folder):
    """A picture of what is in sight."""
    pathlib.Path(folder).mkdir(parents=True, exist_ok=True)
    page.screenshot(path=str(pathlib.Path(folder) / f"{name}.png"))
