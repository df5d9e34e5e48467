#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Checks that tests which are told of are run, and that what the tables in docs/ name exists.

    tests/listed.py BUILD

 - Every test that docs/features.md and docs/promises.md name is one that ctest knows in this build,
   or a DP_TEST of one.
 - Every name of the interface in those tables stands in a public header.
 - Every link in them leads to a heading.
 - Every program in the folders of tests belongs to a test; one was lost in a merge.
"""

import json
import os
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
TABLES = (ROOT / "docs" / "features.md", ROOT / "docs" / "promises.md")


def known_tests(build):
    """The tests of ctest, and the single tests inside those."""
    ctest = [os.environ.get("CTEST", "ctest"), "--test-dir", build, "--show-only=json-v1", "-C", "storm"]
    listed = subprocess.run(ctest, stdout=subprocess.PIPE, check=True)
    known = {test["name"] for test in json.loads(listed.stdout)["tests"]}
    for path in (ROOT / "tests" / "api").glob("*.c"):
        for suite, name in re.findall(r"DP_TEST\((\w+), (\w+)\)", path.read_text(encoding="utf-8")):
            if is_known(suite, known):
                known.add(f"{suite}.{name}")
    return known


def is_known(name, known):
    """Whether a test has this name, or begins with it: `map` stands for `map.threads` and others."""
    return any(test == name or test.startswith(name + ".") for test in known)


def rows(table):
    """The rows of a table: what dp has, the tests, the links."""
    for line in table.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if line.startswith("|") and len(cells) == 4 and set(line) - set("|-"):
            yield cells


def anchors(document):
    """The anchors of a document's headings, made as the usual viewers make them."""
    text = document.read_text(encoding="utf-8")
    for heading in re.findall(r"^#+ (.*)$", text, re.MULTILINE):
        yield re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def wrong_in(table, known):
    # What is read from the environment stands in no public header.
    headers = [*(ROOT / "include" / "dp").glob("*.h"), ROOT / "src" / "api" / "environment.h"]
    words = set(re.findall(r"\w+", "".join(path.read_text(encoding="utf-8") for path in headers)))
    features = list(rows(table))[1:]
    if len(features) < 10:
        yield f"there is no table in {table.name}"
    for feature, has, tests, more in features:
        names = re.findall(r"`([^`]+)`", tests)
        if has and not has.startswith(("not yet", "not allowed")) and not names:
            yield f"{feature}: no test"
        for name in names:
            if not is_known(name, known):
                yield f"{feature}: there is no test {name}"
        for name in re.findall(r"`((?:dp|DP)_\w+)", has):
            if name not in words:
                yield f"{feature}: {name} is in no header"
        for target, anchor in re.findall(r"\(([^)#]+)#([^)]+)\)", more):
            if anchor not in anchors(table.parent / target):
                yield f"{feature}: {target} has no heading for #{anchor}"


def programs_without_test(known):
    folders = {"api": "", "platform": "", "stress": "stress.", "inner": "inner.", "regress": "regress."}
    for folder, prefix in folders.items():
        for path in sorted((ROOT / "tests" / folder).glob("*.c")):
            if not is_known(prefix + path.stem.removeprefix("test_"), known):
                yield f"{path.relative_to(ROOT)}: no test runs it"


def main():
    known = known_tests(sys.argv[1])
    wrong = [problem for table in TABLES for problem in wrong_in(table, known)]
    wrong += programs_without_test(known)
    print("\n".join(wrong) if wrong else f"{len(known)} tests, all in order")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
