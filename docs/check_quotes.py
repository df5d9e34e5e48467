#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Checks that code quoted in the documentation is what stands in the repository.

    docs/check_quotes.py [FILE.md...]       without a name: README.md and docs/*.md

A fenced block is a quote when the line before it names a file, relative to the repository:

    <!-- quote: examples/fib.c -->

Its lines must stand together in that file, in the same order; the whole block may be indented
differently. A line `...` stands for lines left out, and the parts around it must follow one another
in the file. Every block of C or Python must be a quote, so that it is compiled and run somewhere.
Prints each difference; the exit status is 1 if there is any, 2 for a file that cannot be read.
"""

import pathlib
import re
import sys
import textwrap

ROOT = pathlib.Path(__file__).resolve().parent.parent
MARK = re.compile(r"\s*<!-- quote: (\S+) -->\s*")


def dedented(lines):
    return textwrap.dedent("\n".join(line.rstrip() for line in lines)).split("\n")


def parts(block):
    """The runs of lines between the lines that only say `...`."""
    runs = [[]]
    for line in block:
        if line.strip() == "...":
            runs.append([])
        else:
            runs[-1].append(line)
    return runs


def find(part, source, start):
    """The index after the first place at or after `start` where the part stands; -1 if nowhere."""
    wanted = dedented(part)
    for begin in range(start, len(source) - len(part) + 1):
        if dedented(source[begin : begin + len(part)]) == wanted:
            return begin + len(part)
    return -1


def check_block(block, source):
    """What is wrong with a quote, or None."""
    place = 0
    for part in parts(block):
        if not any(line.strip() for line in part):
            return "a part of the quote is empty"
        place = find(part, source, place)
        if place < 0:
            known = {line.strip() for line in source}
            unknown = [line for line in part if line.strip() not in known]
            line = unknown[0] if unknown else part[0]
            return f"does not stand there in this form, see: {line.strip()}"
    return None


def blocks(text):
    """Every fenced block: its line number, its language, the file it quotes or None, its lines."""
    lines, mark, number = text.split("\n"), None, 0
    while number < len(lines):
        line = lines[number]
        number += 1
        fence = re.match(r"\s*(```+)(\w*)\s*$", line)
        if not fence:
            if MARK.fullmatch(line):
                if mark:
                    yield mark[0], "", mark[1], None
                mark = (number, MARK.fullmatch(line).group(1))
            elif line.strip() and mark:
                yield mark[0], "", mark[1], None
                mark = None
            continue
        first = number
        while number < len(lines) and lines[number].strip() != fence.group(1):
            number += 1
        yield first, fence.group(2), mark and mark[1], lines[first:number]
        number += 1
        mark = None
    if mark:
        yield mark[0], "", mark[1], None


def check(document):
    """The number of quotes in a document, and what is wrong with them."""
    count, wrong = 0, []
    for number, language, quoted, block in blocks(document.read_text(encoding="utf-8")):
        if quoted is None:
            if language in ("c", "python"):
                wrong.append(f"{document.name}:{number}: this block of {language} is no quote")
            continue
        count += 1
        if block is None:
            problem = "no fenced block follows"
        elif not (ROOT / quoted).is_file():
            problem = "there is no such file"
        else:
            problem = check_block(block, (ROOT / quoted).read_text(encoding="utf-8").split("\n"))
        if problem:
            wrong.append(f"{document.name}:{number}: {quoted}: {problem}")
    return count, wrong


def main():
    names = sys.argv[1:]
    documents = [pathlib.Path(name).resolve() for name in names] or [
        ROOT / "README.md",
        *sorted((ROOT / "docs").glob("*.md")),
    ]
    total, failed = 0, False
    for document in documents:
        try:
            count, wrong = check(document)
        except OSError as error:
            print(error)
            return 2
        total += count
        failed = failed or bool(wrong)
        for line in wrong:
            print(line)
    if not failed:
        print(f"{total} quotes are right")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
