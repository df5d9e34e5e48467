# SPDX-License-Identifier: Apache-2.0
"""What the scripts have in common that break the library in one place at a time and look who
notices: tests/model/mutate, tests/fuzz/mutate and tests/chaos/mutate.

What is broken stands in files of blocks with empty lines between them. Each line of a block is a
name and what it has, such as `file: src/api/wait.c`; \\n stands for the end of a line. A mutant has

  drop        what is left out or done wrong
  file        a source of the library
  from, to    the text that is replaced, which is there once, and by what
  quick       any value: it is tried for every change, too
  why         why nobody notices
"""

import json
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent


class Mutant:
    """A source of the library with other text between two places."""

    def __init__(self, what, path, begin, end, new):
        text = (ROOT / path).read_text()
        self.what, self.path = what, path
        self.line = text.count("\n", 0, begin) + 1
        self.quick = False # Whether it is one of those that are tried for every change.
        self.reason = ""   # Why nobody notices.
        self.text = text[:begin] + new + text[end:]

    def name(self):
        return f"{self.path}:{self.line} {self.what}"


def read_blocks(path):
    """The names and values of each block of a file."""
    for block in path.read_text().split("\n\n"):
        lines = [line for line in block.splitlines() if not line.startswith("#")]
        if lines:
            yield dict(line.replace("\\n", "\n").split(": ", 1) for line in lines)


def mutant_of(fields):
    """The mutant of a block."""
    text = (ROOT / fields["file"]).read_text()
    if text.count(fields["from"]) != 1:
        sys.exit(f"mutants.txt: {fields['drop']}: the text is not there once")
    at = text.index(fields["from"])
    mutant = Mutant(fields["drop"], fields["file"], at, at + len(fields["from"]), fields["to"])
    mutant.quick, mutant.reason = "quick" in fields, fields.get("why", "")
    return mutant


class DoesNotBuild(Exception):
    """With what the compiler said."""


class Workshop:
    """A copy of src/ in which one mutant at a time is built, and programs with it."""

    def __init__(self, build, folder, objects, flags=()):
        """`objects` is the target of CMake that compiles the library, `flags` what its compiler
        gets besides."""
        self.build, self.folder = build.resolve(), Path(folder)
        self.objects, self.flags = f"CMakeFiles/{objects}.dir/", list(flags)
        shutil.copytree(ROOT / "src", self.folder / "src")
        self.commands = {}
        for entry in json.loads((self.build / "compile_commands.json").read_text()):
            command = shlex.split(entry["command"])
            self.commands[command[command.index("-o") + 1]] = command

    def make(self, mutant, programs):
        """Builds programs, which are targets of CMake, with a mutant. The path of each."""
        (self.folder / mutant.path).write_text(mutant.text)
        try:
            made = {}
            for number, name in enumerate(self._users(mutant.path, programs)):
                made[name] = self.folder / f"{number}.o"
                self._compile(name, made[name])
            return {program: self._link(program, made) for program in programs}
        finally:
            shutil.copy(ROOT / mutant.path, self.folder / mutant.path)

    def _users(self, path, programs):
        """The objects of the library and of programs that a change of this file concerns."""
        folders = (self.objects, *(f"CMakeFiles/{program}.dir/" for program in programs))
        return [name for name in self.commands if name.startswith(folders) and
                str(ROOT / path) in (self.build / f"{name}.d").read_text().split()]

    def _compile(self, name, target):
        command = [argument.replace(str(ROOT / "src"), str(self.folder / "src"))
                   for argument in self.commands[name]]
        command[command.index("-o") + 1] = str(target)
        flags = self.flags if name.startswith(self.objects) else []
        self._run(command + flags + ["-Wno-error", "-w"])

    def _link(self, program, made):
        command = shlex.split((self.build / f"CMakeFiles/{program}.dir/link.txt").read_text())
        others = [str(made[name]) for name in made
                  if name.startswith(self.objects) and name not in command]
        command = [str(made.get(argument, argument)) for argument in command]
        if "libdp.a" in command: # whose own objects are not taken when there are others before it
            at = command.index("libdp.a")
            command[at:at] = others
        target = self.folder / program
        command[command.index("-o") + 1] = str(target)
        self._run(command)
        return target

    def _run(self, command):
        result = subprocess.run(command, cwd=self.build, capture_output=True, text=True,
                                check=False)
        if result.returncode:
            raise DoesNotBuild(result.stderr[:300])
