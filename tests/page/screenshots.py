# SPDX-License-Identifier: MIT
"""Pictures of every view at three widths in both themes, to be looked at:

    make screenshots                  (into screenshots/, which git does not keep)
"""

import argparse
import pathlib
import sys

sys.path[:0] = [str(pathlib.Path(__file__).resolve().parents[1]),
                str(pathlib.Path(__file__).resolve().parent)]

from lib.browser import chromium, open_page, save  # noqa: E402
from lib.gateway import AUTH_KEY, ROOT, Gateway  # noqa: E402
from lib.provider import Provider  # noqa: E402

import seed  # noqa: E402
from views import VIEWS, resolve  # noqa: E402

WIDTHS = {"phone": (360, 780), "laptop": (1280, 860), "wide": (2560, 1300)}


def main():
    parse = argparse.ArgumentParser(description=__doc__)
    parse.add_argument("--out", default=str(ROOT / "screenshots"))
    parse.add_argument("--only", default="", help="views whose name contains this")
    parse.add_argument("--widths", default=",".join(WIDTHS))
    parse.add_argument("--themes", default="light,dark")
    parse.add_argument("--locale", default="en-US")
    options = parse.parse_args()
    with Provider() as provider, Gateway() as gateway, chromium() as browser:
        groups = seed.fill(gateway, provider)
        for width in options.widths.split(","):
            for theme in options.themes.split(","):
                size = WIDTHS[width]
                with open_page(browser, gateway, width=size[0], height=size[1], theme=theme,
                               locale=options.locale) as tab:
                    shoot(tab, groups, gateway, options, f"{width}-{theme}")


def shoot(tab, groups, gateway, options, suffix):
    tab.goto("/sign-in")
    tab.settle()
    save(tab.page, f"sign-in-{suffix}", options.out)
    tab.sign_in(AUTH_KEY)
    for view in VIEWS:
        if options.only in view.name:
            view.open(tab, resolve(view, groups, gateway))
            save(tab.page, f"{view.name}-{suffix}", options.out)


if __name__ == "__main__":
    main()
