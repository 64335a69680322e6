# SPDX-License-Identifier: MIT
"""The page's build, besides that in a folder of its own, which every other test has used."""

import os
import shutil
import subprocess

from lib.gateway import BUILD, ROOT

DONE = BUILD / "static" / "work"


def test_it_is_built_in_the_source_tree(tmp_path):
    """./configure && make without another folder: a component that the copy's tsconfig.json
    did not name was looked up in the source's, which lies above it and has no modules."""
    source = tmp_path / "static"
    work = source / "work"
    for place in (source, work):
        shutil.copytree(ROOT / "static", place,
                        ignore=shutil.ignore_patterns("work", "page", "dist", "node_modules"))
    (work / "node_modules").symlink_to(DONE / "node_modules")
    done = subprocess.run(
        ["npm", "run", "--silent", "build"], cwd=work, capture_output=True, text=True, timeout=120,
        check=False, env={**os.environ, "GPT_LOAD_PAGE_OUT": str(tmp_path / "out"),
                          "GPT_LOAD_OPENAPI": str(ROOT / "admin-cgi" / "openapi.json")})
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "out" / "index.html").exists()
