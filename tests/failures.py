#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Prints which tests of a report of ctest failed, and the end of what they wrote.

    tests/failures.py REPORT WHERE

WHERE says which build or seed it was. Nothing is printed when all passed or there is no report.
"""

import sys
import xml.etree.ElementTree

LINES = 60  # of each test, the last


def failed(case):
    """A program that is missing counts as skipped in these reports."""
    skipped = case.find("skipped")
    return case.get("status") == "fail" or (skipped is not None and
                                            skipped.get("message", "").startswith("Unable"))


def main():
    report, where = sys.argv[1:]
    try:
        cases = xml.etree.ElementTree.parse(report).getroot().iter("testcase")
    except (OSError, xml.etree.ElementTree.ParseError):
        return
    for case in cases:
        if not failed(case):
            continue
        print(f"FAILED: {case.get('name')} ({where}, {float(case.get('time')):.1f} s)")
        for line in (case.findtext("system-out") or "").splitlines()[-LINES:]:
            print(f"    {line}")


if __name__ == "__main__":
    main()
