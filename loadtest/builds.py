"""Builds of jeton and their settings, as a command line names them: NAME=BINARY[@VARIABLE=VALUE]...

The binary may be `release`, which is the release of this tree. A variable begins where an at sign is followed by its name
and an equals sign, so that a value may hold other at signs.
"""

import argparse
import dataclasses
import os
import pathlib
import re

import servers

SHAPE = "NAME=BINARY[@VARIABLE=VALUE]..."
RELEASE = "release"
# What is driven beside builds keeps its own name.
TAKEN = "nginx"


@dataclasses.dataclass(frozen=True)
class Build:
    """A binary, what it is called, the variables it is started with, and the words that asked for it."""

    name: str
    binary: pathlib.Path
    settings: dict
    asked: str

    def start(self, home, core):
        """The running server."""
        return servers.Jeton(home, core, self.settings, self.binary)


def parse(text):
    """The build that a word of a command line names; for argparse, which tells what is wrong."""
    name, equals, rest = text.partition("=")
    if not equals or not re.fullmatch(r"[\w.+-]+", name):
        raise argparse.ArgumentTypeError(f"{text!r} is not {SHAPE}")
    if name == TAKEN:
        raise argparse.ArgumentTypeError(f"{name} is what --nginx is called: choose another name")
    binary, *variables = re.split(r"@(?=[A-Za-z_]\w*=)", rest)
    return Build(name, path(binary), dict(variable.split("=", 1) for variable in variables), rest)


def path(binary):
    """Where the binary is; that of this tree may still have to be built."""
    if binary == RELEASE:
        return servers.BUILT / "jeton"
    found = pathlib.Path(binary).resolve()
    if not found.is_file() or not os.access(found, os.X_OK):
        raise argparse.ArgumentTypeError(f"{binary!r} is no program: name a binary, or {RELEASE} for this tree's")
    return found


def twice(builds):
    """A name that several builds have, if there is one."""
    names = [build.name for build in builds]
    return next((name for name in names if names.count(name) > 1), None)
