# SPDX-License-Identifier: MIT
"""Chinese, English and Japanese: what the management API says of errors is there in all
three, and the table has nothing that is said nowhere."""

import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
TABLE = (ROOT / "admin-cgi" / "errtext_table.h").read_text()
TEXT = re.compile(r'"((?:[^"\\]|\\.)*)"')
ROWS = [match[1].replace('\\"', '"')
        for match in re.finditer(r'^\tX\("((?:[^"\\]|\\.)*)"', TABLE, re.M)]

# What a request to the API can come by. Configuration, drivers, pool and spool speak to
# whoever starts the programs, in English, and in the log.
SOURCES = [*sorted((ROOT / "lib").glob("group*.c")), *sorted((ROOT / "lib").glob("key*.c")),
           *sorted((ROOT / "lib").glob("setting*.c")),
           *(ROOT / "lib" / name for name in ("cgi.c", "checker.c", "headerrule.c", "json.c",
                                              "snapshot_parse.c", "task.c")),
           *(ROOT / "admin-cgi" / name for name in re.findall(
               r"admin-cgi/(\w+\.c)", (ROOT / "admin-cgi" / "local.mk").read_text()
               .partition("ADMIN_LIBS =")[0]))]


def literals(text):
    """The arguments of a call as they stand, string literals joined; macros of formats
    and conversions as {}."""
    text = text.replace("STR_FMT", '"{}"')
    return re.sub(r"%(?:\.\*)?[-0-9.]*(?:ll|z)?[sduc]", "{}",
                  "".join(piece.replace('\\"', '"') for piece in TEXT.findall(text)))


def formats(source):
    """The texts of its err_set(…) calls."""
    text = re.sub(r"/\*.*?\*/", "", source.read_text(), flags=re.S)
    for match in re.finditer(r"\berr_set\(\s*[^,]+,[^\"]*?,((?:\s*(?:\"(?:[^\"\\]|\\.)*\"|STR_FMT))+)",
                             text):
        yield literals(match[1])


# A name, or values to choose from: the same in every language.
VALUES = re.compile(r"\{\}|\w+(?:, \w+)*(?: or \w+)?")


def translated(text):
    """There is a row for it, or a general one with rows for what stands in its places."""
    if text in ROWS:
        return True
    for row in ROWS:
        match = re.fullmatch(re.escape(row).replace(r"\{\}", "(.*?)"), text)
        if match and re.search("[a-z]", row) and all(
                part in ROWS or VALUES.fullmatch(part) for part in match.groups()):
            return True
    return False


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.name)
def test_every_error_is_translated(source):
    assert not [text for text in formats(source) if text != "{}" and not translated(text)]


def test_every_general_message_is_translated():
    table = re.findall(r'"(\w+)",\s*"([^"]+)"\)', (ROOT / "lib" / "err.h").read_text()
                       .replace("\\\n", " "))
    assert len(table) > 20
    assert not {text for _, text in table if text != "ok"} - set(ROWS)


def test_nothing_is_translated_that_nobody_says():
    piece = r'(?:"(?:[^"\\]|\\.)*"|STR_FMT)'
    said = {literals(match[0])
            for folder in ("lib", "admin-cgi")
            for source in [*(ROOT / folder).glob("*.c"), ROOT / "lib" / "err.h"]
            for match in re.finditer(rf"{piece}(?:\s*{piece})*",
                                     source.read_text().replace("\\\n", " "))}
    unsaid = [row for row in ROWS if row not in said and not any(
        re.fullmatch(re.escape(row).replace(r"\{\}", ".*"), text) for text in said)]
    assert not unsaid


@pytest.mark.parametrize("language, message", [
    ("en-US", "there is no group 999999"), ("zh-CN", "没有分组 999999"),
    ("ja-JP", "グループ 999999 はありません"), ("", "没有分组 999999"), ("fr", "没有分组 999999")])
def test_errors_are_in_the_language_asked_for(api, language, message):
    got = api.raw("GET", "/api/groups/999999", headers={"Accept-Language": language})
    assert got.json() == {"code": "NOT_FOUND", "message": message}


def test_strangers_are_refused_in_their_language(gateway):
    got = gateway.client.request("GET", "/api/groups", {"Accept-Language": "ja"})
    assert got.json()["message"] == "キーがないか、受け付けられません"
