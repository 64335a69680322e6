# SPDX-License-Identifier: MIT
"""The tables of routes in the C sources, and which program has which."""

import pathlib
import re

FOLDER = pathlib.Path(__file__).resolve().parents[2] / "admin-cgi"

_TABLE = re.compile(r"^const struct route (routes_\w+)\[\] = \{(.*?)^\};", re.M | re.S)
_ROUTE = re.compile(r'\{METHOD_(\w+), "([^"]+)", \w+, (0|ROUTE_\w+)\}')


def tables():
    """Table → [(method, path, open)]."""
    return {name: [(method, path, flags == "ROUTE_OPEN")
                   for method, path, flags in _ROUTE.findall(body)]
            for source in sorted(FOLDER.glob("*.c"))
            for name, body in _TABLE.findall(source.read_text())}


def routes():
    """{(method, path): open} of all tables."""
    return {(method, path): is_open for table in tables().values()
            for method, path, is_open in table}


def programs():
    """{(method, path): name of the program that has it alone}."""
    known = tables()
    found = {}
    for source in sorted(FOLDER.glob("main_*.c")):
        if source.stem == "main_api":
            continue
        for table in re.findall(r"routes_\w+", source.read_text()):
            for method, path, _ in known[table]:
                found.setdefault((method, path), source.stem.removeprefix("main_") + ".cgi")
    return found


def api_program():
    """Names of the tables that api.fcgi has."""
    return set(re.findall(r"routes_\w+", (FOLDER / "main_api.c").read_text()))
