# SPDX-License-Identifier: MIT
"""The table of the cases behind each web server, printed at the end of a run."""

import re

import pytest

from lib import stacks

CASES = {}  # case → column → outcome
NOTES = {}  # what a server does in its own way → number


def pytest_configure(config):
    """Some columns stand on MariaDB and Redis, whatever the rest of the run does."""
    if not hasattr(config, "workerinput") and not config.option.collectonly:
        stacks.start("mariadb")


def pytest_runtest_logreport(report):
    case = re.fullmatch(r".*test_servers\.py::test_(\w+)\[(.*)\](?:@.*)?", report.nodeid)
    if not case or (report.when != "call" and report.passed):
        return
    column = dict(report.user_properties).get("column")
    if column is None:
        return
    cells = CASES.setdefault(case[1], {}).setdefault(column, [])
    reasons = [value for name, value in report.user_properties if name == "quirk"]
    cells.append(("ok" if report.passed else "FAILED", reasons))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item):
    column = getattr(item, "callspec", None) and next(
        (item.callspec.params[name] for name in ("gateway", "impatient")
         if name in item.callspec.params), None)
    if column:
        item.user_properties.append(("column", "/".join(column)))


def cell(outcomes):
    """Of all parameters of a case."""
    bad = sum(outcome != "ok" for outcome, _ in outcomes)
    if bad:
        return f"{bad} FAILED"
    reasons = sorted({NOTES.setdefault(reason, len(NOTES) + 1)
                      for _, all_of_one in outcomes for reason in all_of_one})
    return "ok" + "".join(f" {number})" for number in reasons)


def pytest_terminal_summary(terminalreporter):
    if not CASES:
        return
    columns = sorted({column for cells in CASES.values() for column in cells})
    rows = [["case", *(column.replace("/sqlite", "") for column in columns)]]
    for case, cells in CASES.items():
        rows.append([case.replace("_", " "),
                     *(cell(cells[column]) if column in cells else "-" for column in columns)])
    widths = [max(len(row[i]) for row in rows) for i in range(len(columns) + 1)]
    terminalreporter.section("behind each web server")
    for row in rows:
        terminalreporter.write_line("  ".join(text.ljust(width)
                                              for text, width in zip(row, widths)).rstrip())
    for reason, number in NOTES.items():
        terminalreporter.write_line(f"{number}) {reason}")
