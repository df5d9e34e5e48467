#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Fails when an include points up the layers, or from the public headers to private ones.

    tests/layers.py            checks this tree
    tests/layers.py DIRECTORY  checks another tree

Before it looks at the tree it checks itself: it plants one violation of each kind in a temporary
tree and expects to find every one.
"""

import posixpath
import re
import sys
import tempfile
from pathlib import Path

# What the front and the engines agree on; the one part of src/api/ that an engine may see.
CONTRACT = ("src/api/batch.h", "src/api/engine.h", "src/api/wire.h")

# Files here            may include these (a folder ends with /), besides headers of the system.
RULES = {
    "include/dp/":          ("include/dp/",),
    "src/platform/":        ("src/platform/", "include/dp/base.h", "include/dp/error.h",
                             "include/dp/cpu.h", "include/dp/message.h", "include/dp/start.h"),
    "src/engines/threads/": ("src/engines/threads/", *CONTRACT, "src/platform/", "include/dp/"),
    "src/engines/processes/": ("src/engines/processes/", "src/engines/threads/table.h",
                               "src/engines/threads/team_life.h", *CONTRACT, "src/platform/",
                               "include/dp/"),
    "src/engines/serial/":  ("src/engines/serial/", "src/engines/threads/team_life.h", *CONTRACT,
                             "src/platform/", "include/dp/"),
    "src/engines/executor/": ("src/engines/executor/", "src/engines/threads/team_life.h",
                              *CONTRACT, "src/platform/", "include/dp/"),
    "src/engines/*/":       ("src/engines/*/", *CONTRACT, "src/platform/", "include/dp/"),
    "src/api/":             ("src/api/", "src/platform/", "include/dp/"),
    "src/interprocess/":    ("src/interprocess/", "src/platform/", "include/dp/"),
    "src/tools/":           ("src/platform/", "include/dp/"),
    "examples/":            ("include/dp/",),
}

# What the check of itself plants, and must find.
PLANTED = {
    "include/dp/a.h": "#include <api/batch.h>",
    "include/dp/b.h": '#include "../src/platform/futex.h"',
    "include/dp/c.h": "#include <hwloc.h>",
    "src/platform/a.c": '#include "api/batch.h"',
    "src/platform/b.c": "#include <dp/pool.h>",
    "src/engines/threads/a.c": '#  include "api/map.h"',
    "src/engines/threads/b.c": '#include "engines/serial/serial.h"',
    "src/engines/serial/a.c": '#include "engines/threads/deque.h"',
    "src/engines/mpi/a.c": '#include "engines/threads/team.h"',
    "src/api/a.c": '#include "engines/threads/team.h"',
    "src/tools/a.c": '#include "engines/threads/team.h"',
    "src/interprocess/a.c": '#include "api/batch.h"',
    "src/stray/a.c": '#include "platform/futex.h"',
    "src/api/b.c": '#include "nowhere.h"',
    "examples/a.c": '#include "platform/clock.h"',
}
ALLOWED = {
    "include/dp/good.h": "#include <stddef.h>\n#include <atomic>\n#include <dp/base.h>",
    "src/platform/futex.h": "#include <linux/futex.h>",
    "src/platform/good.c": '#include "futex.h"\n#include "platform/futex.h"\n#include <dp/error.h>',
    "src/engines/threads/team_life.h": '#include "api/batch.h"\n#include <dp/pool.h>',
    "src/engines/serial/good.c": '#include "engines/threads/team_life.h"',
    "src/engines/mpi/good.c": '#include "engines/mpi/ranks.h"\n/* #include "api/map.h" */',
    "src/api/good.c": '#include "api/engine.h"\n#include "platform/clock.h"',
}

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^">]+)[">]', re.MULTILINE)
COMMENT = re.compile(r"/\*.*?\*/|//[^\n]*", re.DOTALL)
# All that the public headers may take from outside: headers of the C and C++ standards.
STANDARD = {
    "atomic", "cstddef", "cstdint", "limits.h", "stdalign.h", "stdatomic.h", "stdbool.h",
    "stddef.h", "stdint.h", "stdlib.h", "string.h", "time.h",
}


def rule_for(path):
    """The first rule whose folder holds the file, with * replaced by its name; None without one."""
    for folder, allowed in RULES.items():
        match = re.match(re.escape(folder).replace(r"\*", "([^/]+)"), path)
        if match:
            name = match.group(1) if match.groups() else ""
            return tuple(entry.replace("*", name) for entry in allowed)
    return None


def resolve(root, path, kind, name):
    """The included file as a path within the tree; None for a header of the system."""
    beside = posixpath.normpath(posixpath.join(posixpath.dirname(path), name))
    if kind == '"' and (root / beside).is_file():
        return beside
    if name.startswith("dp/"):
        return "include/" + name
    if kind == '"' or name.split("/")[0] in ("api", "engines", "platform"):
        return "src/" + name
    return None


def violations(root):
    """One line for each include that its layer may not have, and the number of files read."""
    found = []
    files = [file for folder in ("include", "src", "examples")
             for file in sorted((root / folder).rglob("*")) if file.suffix in (".c", ".h")]
    for file in files:
        path = file.relative_to(root).as_posix()
        allowed = rule_for(path)
        if allowed is None:
            found.append(f"{path}: no rule for this folder")
            continue
        text = COMMENT.sub(" ", file.read_text(encoding="utf-8"))
        for kind, name in INCLUDE.findall(text):
            target = resolve(root, path, kind, name)
            if target is None:
                if path.startswith("include/") and name not in STANDARD:
                    found.append(f"{path}: <{name}> is not a header of the C standard")
            elif not any(target == entry or entry.endswith("/") and target.startswith(entry)
                         for entry in allowed):
                found.append(f"{path}: must not include {target}")
    return found, len(files)


def check_itself():
    """Plants violations and sees that these, and nothing else, are found."""
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory)
        for path, text in {**PLANTED, **ALLOWED}.items():
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_text(text + "\n", encoding="utf-8")
        found, _ = violations(root)
    named = [line.split(":")[0] for line in found]
    if sorted(named) != sorted(PLANTED):
        sys.exit("layers.py is broken; planted and found differ: "
                 f"{sorted(set(named) ^ set(PLANTED)) or sorted(named)}")


def main():
    root = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parent.parent
    check_itself()
    found, count = violations(root)
    print("\n".join(found) if found else f"{count} files, every include points down")
    return 1 if found or count == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
