# SPDX-License-Identifier: MIT
"""admin-cgi/openapi.json as the tests use it: which routes there are, and whether an
answer is one that it promises."""

import json
import pathlib
import re

import jsonschema
import referencing
import referencing.jsonschema

FILE = pathlib.Path(__file__).resolve().parents[2] / "admin-cgi" / "openapi.json"
DOCUMENT = json.loads(FILE.read_text())
METHODS = ("get", "post", "put", "delete")

_NAME = "openapi.json"
_REGISTRY = referencing.Registry().with_resource(
    _NAME, referencing.Resource(contents=DOCUMENT,
                                specification=referencing.jsonschema.DRAFT202012))


def resolve(node):
    """What a {"$ref": "#/…"} stands for; everything else as it is."""
    while "$ref" in node:
        target = DOCUMENT
        for step in node["$ref"].removeprefix("#/").split("/"):
            target = target[step]
        node = target
    return node


def _absolute(node):
    """The same with references that can be followed from anywhere."""
    if isinstance(node, dict):
        return {name: _NAME + value if name == "$ref" else _absolute(value)
                for name, value in node.items()}
    if isinstance(node, list):
        return [_absolute(item) for item in node]
    return node


def validate(value, schema):
    validator = jsonschema.Draft202012Validator(
        _absolute(schema), registry=_REGISTRY,
        format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER)
    faults = [f"{fault.json_path}: {fault.message}"
              for fault in jsonschema.exceptions.relevance_sorted(validator, value)] \
        if hasattr(jsonschema.exceptions, "relevance_sorted") else \
        [f"{fault.json_path}: {fault.message}" for fault in validator.iter_errors(value)]
    assert not faults, "\n".join(faults[:5])


class Operation:
    def __init__(self, method, path, data):
        self.method = method.upper()
        self.path = path
        self.data = data
        self.id = data["operationId"]
        self.open = data.get("security") == []
        self._form = re.compile(re.sub(r"\\{\w+\\}", "[^/]+", re.escape(path)) + r"/?$")

    def __repr__(self):
        return f"{self.method} {self.path}"

    def is_at(self, target):
        return self._form.match(target.partition("?")[0]) is not None

    def example_path(self, **values):
        """A path that has this form."""
        known = {"id": 1, "subGroupId": 1, "group": "no-such-group",
                 "uuid": "00000000-0000-7000-8000-000000000000", **values}
        return re.sub(r"{(\w+)}", lambda m: str(known[m[1]]), self.path)

    def check(self, answer):
        """The answer is one that the document promises for this operation."""
        responses = self.data["responses"]
        promised = responses.get(str(answer.status))
        assert promised is not None, \
            f"{self} answers {answer.status}, which is not documented: {answer.text[:500]}"
        content = resolve(promised).get("content", {})
        kind = (answer.header("content-type") or "").partition(";")[0]
        assert kind in content, f"{self} answers {answer.status} as {kind!r}"
        for name, header in resolve(promised).get("headers", {}).items():
            if header.get("required"):
                assert answer.header(name), f"{self} answers {answer.status} without {name}"
        if kind == "application/json":
            try:
                validate(answer.json(), content[kind]["schema"])
            except AssertionError as fault:
                raise AssertionError(f"{self} {answer.status}: {fault}\n"
                                     f"{answer.text[:2000]}") from None


OPERATIONS = [Operation(method, path, data)
              for path, methods in DOCUMENT["paths"].items()
              for method, data in methods.items()]
BY_ID = {operation.id: operation for operation in OPERATIONS}


def find(method, target):
    """The operation of a request; one without {…} goes first."""
    found = sorted((o for o in OPERATIONS if o.method == method and o.is_at(target)),
                   key=lambda o: "{" in o.path)
    return found[0] if found else None
