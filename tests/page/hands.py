# SPDX-License-Identifier: MIT
"""Two ways to use the page: with the mouse, and with the keyboard alone."""

TABS = 400  # more stops than any view has


class Mouse:
    name = "mouse"

    def __init__(self, page):
        self.page = page

    def press(self, target):
        target.click()

    def toggle(self, target):
        # The switch's own input has no size; what is seen of it is around it.
        target.locator("xpath=ancestor::div[contains(@class,'el-switch')][1]").click()

    def type(self, target, text):
        target.fill(text)

    def give_keys(self, dialog, text):
        """As a file."""
        with self.page.expect_file_chooser() as chooser:
            dialog.locator("input[type=file]").click()
        chooser.value.set_files({"name": "keys.txt", "mimeType": "text/plain",
                                 "buffer": text.encode()})

    def choose(self, target, value):
        target.select_option(value)

    def open_row(self, target):
        target.locator("td").nth(2).click()


class Keyboard:
    """Goes everywhere by Tab, as somebody without a mouse."""

    name = "keyboard"

    def __init__(self, page):
        self.page = page
        page.mouse.move(0, 0)

    def _focus(self, target):
        target.wait_for(state="attached")
        wanted = target.element_handle()
        for _ in range(TABS):
            if wanted.evaluate("(one) => one === document.activeElement"):
                return
            self.page.keyboard.press("Tab")
        raise AssertionError(f"not to be reached by Tab: {target}")

    def press(self, target):
        self._focus(target)
        self.page.keyboard.press("Enter")

    def toggle(self, target):
        self._focus(target)
        self.page.keyboard.press("Space")

    def type(self, target, text):
        self._focus(target)
        self.page.keyboard.press("Control+A")
        self.page.keyboard.insert_text(text)

    def give_keys(self, dialog, text):
        """Pasted."""
        self.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
        self._focus(dialog.locator("textarea"))
        self.page.evaluate("(text) => navigator.clipboard.writeText(text)", text)
        self.page.keyboard.press("Control+V")

    def choose(self, target, value):
        self._focus(target)
        # The label may be in another language after the first step.
        chosen = target.element_handle()
        self.page.keyboard.press("Home")
        for _ in range(30):
            if chosen.input_value() == value:
                return
            self.page.keyboard.press("ArrowDown")
        raise AssertionError(f"no such choice: {value}")

    def open_row(self, target):
        self.press(target)


BOTH = {"mouse": Mouse, "keyboard": Keyboard}
