# SPDX-License-Identifier: MIT
"""The documents name what the programs have: every variable, setting, error code and
limit, with the default and the bounds that hold, and no other."""

import pathlib
import re

import pytest

pytestmark = pytest.mark.only_on("sqlite", "documents and programs, without any database")

ROOT = pathlib.Path(__file__).resolve().parents[2]
CONFIGURATION = (ROOT / "docs" / "configuration.md").read_text()
OPERATIONS = (ROOT / "docs" / "operations.md").read_text()


def section(text, title):
    """Up to the next section of the same rank."""
    return re.split(r"^## ", text.split(f"\n## {title}\n")[1], maxsplit=1, flags=re.M)[0]


def table(text):
    """The cells of the first table's rows, without its head."""
    rows = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows
            if not set(row) <= set("|-: ")][1:]


def names(cell):
    return re.findall(r"`([^`]+)`", cell)


def test_every_variable_is_in_the_configuration_page():
    described = [name for row in table(section(CONFIGURATION, "Variables"))
                 for name in names(row[0])]
    sample = re.findall(r"^#([A-Z_]+)=", (ROOT / ".env.example").read_text(), re.M)
    assert sorted(described) == sorted(sample)


# What a document may say of a variable that has no value of its own.
UNSET = {"WORKERS": {"number of cores", "CPU 核数"},
         "AUTH_KEY": {"made at first start", "首次启动时生成"},
         "TRUSTED_PROXIES": {"this machine"}, "UPSTREAM_CA_FILE": {"the system's"}}


@pytest.mark.parametrize("page, title", [("docs/configuration.md", "Variables"),
                                         ("README.md", "Configuration"), ("README_CN.md", "配置")])
def test_defaults_are_those_of_the_sample(page, title):
    """And the sample's are the code's: tests/unit/test_conf.c."""
    sample = dict(re.findall(r"^#([A-Z_]+)=(.*)", (ROOT / ".env.example").read_text(), re.M))
    rows = table(section((ROOT / page).read_text(), title))
    assert len(rows) >= 6
    for row in rows:
        variables = names(row[0])
        shown = [one.strip("` ") for one in re.split(r"`, `|, (?=\d)|、", row[1])]
        for i, name in enumerate(variables):
            value = sample[name].replace("$DATA_DIR", "DATA_DIR")
            allowed = {value} if value else UNSET.get(name, {"none", "无"})
            assert shown[min(i, len(shown) - 1)] in allowed, name


def settings_of_the_code():
    text = (ROOT / "lib" / "setting.h").read_text().replace("\\\n", " ")
    found = re.findall(r'X\(\w+, "(\w+)", (\w+), "([^"]*)", (\d+), (\d+), \w+,\s*(\w+)\)', text)
    assert len(found) >= 20
    return {key: rest for key, *rest in found}


def test_every_setting_is_in_the_configuration_page():
    scopes = {"SYSTEM_ONLY": "no", "GROUP_CONFIG": "yes", "GROUP_OPTION": "option"}
    code = settings_of_the_code()
    described = {names(row[0])[0]: row[1:] for row in table(section(CONFIGURATION, "Settings"))}
    assert described.keys() == code.keys()
    for key, (kind, default, least, most, scope) in code.items():
        shown, allowed, group, meaning = described[key]
        assert group == scopes[scope], key
        assert meaning, key
        if kind == "INT":
            assert (shown, allowed.split()[0]) == (default, f"{least}–{most}"), key
        elif default:
            assert shown.strip("`") == default, key


def test_every_error_code_is_in_the_operations_page():
    text = (ROOT / "lib" / "err.h").read_text().replace("\\\n", " ")
    code = {name: status for status, name in
            re.findall(r'X\(ERR_\w+, (\d+), "(\w+)",', text) if name != "OK"}
    described = {}
    for row in table(section(OPERATIONS, "What an error means, and who made it")):
        statuses = re.findall(r"\d+", row[0])
        for i, name in enumerate(names(row[1])):
            described[name] = statuses[min(i, len(statuses) - 1)]
    assert described == code


def constants():
    text = "\n".join(path.read_text() for path in (ROOT / "lib").glob("*.h"))
    return dict(re.findall(r"^#define (\w+)\s+(\d+)$", text, re.M))


# What a page says, with the numbers in brackets, and which of the code those are.
NUMBERS = [
    ("ARCHITECTURE.md", r"up to (\d+) readers", ["LIMIT_READER_THREADS"]),
    ("docs/web-servers.md", r"one of a worker's (\d+)\s+readers", ["LIMIT_READER_THREADS"]),
    ("docs/operations.md", r"imports queue, (\d+) at most", ["LIMIT_TASKS_QUEUED"]),
    ("docs/operations.md", r"([\d,]+) keys a group and ([\d,]+) a worker are known",
     ["LIMIT_LOCAL_KEYS", "LIMIT_LOCAL_KEYS_ALL"]),
    ("docs/operations.md", r"([\d,]+)\s+reports are kept", ["LIMIT_LOCAL_REPORTS"]),
    ("docs/configuration.md", r"keys of one task \| ([\d,]+)", ["LIMIT_TASK_KEYS"]),
    ("docs/configuration.md", r"keys of one synchronous call \| ([\d,]+)", ["LIMIT_SYNC_KEYS"]),
    ("docs/configuration.md", r"ids of one bulk action \| ([\d,]+)", ["LIMIT_BULK_IDS"]),
    ("docs/configuration.md", r"report names \| ([\d,]+)", ["LIMIT_KEY_FAULTS"]),
    ("docs/configuration.md", r"test of an upstream \| (\d+) s", ["LIMIT_UPSTREAM_TEST_SECONDS"]),
    ("docs/configuration.md", r"members of an aggregate \| ([\d,]+), (\d+), (\d+)",
     ["LIMIT_GROUPS", "LIMIT_UPSTREAMS", "LIMIT_MEMBERS"]),
    ("docs/api.md", r"tests?\s+for up to ([\d,]+) keys by their ids", ["LIMIT_BULK_IDS"]),
    ("docs/api.md", r"lines of the first (\d+)", ["LIMIT_KEY_FAULTS"]),
    ("docs/cluster.md", r"fresh every (\d+) s", ["NODE_BEAT_S"]),
    ("docs/cluster.md", r"last (\d+) s; what does not fit", ["NODE_ALIVE_S"]),
]


@pytest.mark.parametrize("page, sentence, names_in_code", NUMBERS)
def test_numbers_are_those_of_the_code(page, sentence, names_in_code):
    said = re.search(sentence, (ROOT / page).read_text())
    assert said is not None, "the sentence is another now: mend this table"
    assert [number.replace(",", "") for number in said.groups()] \
        == [constants()[name] for name in names_in_code]


@pytest.mark.parametrize("page", sorted(ROOT.glob("*.md")) + sorted(ROOT.glob("docs/*.md")),
                         ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    for link in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text()):
        if "://" not in link:
            assert (page.parent / link).exists(), link
