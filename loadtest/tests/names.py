"""Every script says how it is used, and every name that a script asks of a module is there.

Most scripts are run by hand and seldom; what a module they use was called or had is otherwise missed only then. Names
are taken from the compiled code, which knows what is a module's and what only a variable's that is called like one.
"""

import builtins
import dis
import importlib
import os
import pathlib
import shlex
import subprocess
import sys
import types
import unittest

TESTS = pathlib.Path(__file__).resolve().parent
LOADTEST = TESTS.parent
ROOT = LOADTEST.parent
sys.path.insert(0, str(LOADTEST))

# Where programs are that nothing runs but people. The rest of the tree's are run by tests, some with more than Python has.
FOLDERS = [LOADTEST, ROOT / "grafana/render", ROOT / "benches", ROOT / "fuzz", ROOT / "crates/ed25519-lanes/tools"]
BOUND = dir(builtins) + ["__file__", "__name__", "__doc__", "__annotations__"]


def interpreter(file):
    """The words that run a script, by its first line; none for what is no script."""
    with file.open("rb") as text:
        first = text.readline()
    return shlex.split(first[2:].decode()) if first.startswith(b"#!") else []


def scripts():
    """All programs of these folders."""
    files = (file for folder in FOLDERS for file in sorted(folder.iterdir()) if file.is_file())
    return [file for file in files if interpreter(file)]


def sources():
    """All Python of these folders that needs nothing but Python."""
    modules = [file for folder in [*FOLDERS, TESTS] for file in sorted(folder.glob("*.py"))]
    return sorted({*modules, *(file for file in scripts() if "python3" in interpreter(file))})


def codes(code):
    """Code, and that of all functions and classes in it."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from codes(constant)


def found(name):
    """A module, or nothing."""
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


def steps(code):
    """Each instruction with the one that follows it."""
    plain = [step for step in dis.get_instructions(code) if step.opname not in ("EXTENDED_ARG", "CACHE", "PUSH_NULL")]
    return list(zip(plain, plain[1:]))


def imported(code):
    """What code imports, as (name of the module, what of it, what it is called); the whole module where there is no what."""
    name = None
    for step, following in steps(code):
        if step.opname == "IMPORT_NAME":
            name = step.argval
            if following.opname.startswith("STORE_"):
                yield name, None, following.argval
            elif following.opname != "IMPORT_FROM":
                yield name, None, None
        elif step.opname == "IMPORT_FROM":
            yield name, step.argval, None


def missing(text, file="text"):
    """The names that Python code asks for in vain, each once."""
    every = list(codes(compile(text, file, "exec")))
    modules, known, absent = {}, set(BOUND), []
    for name, part, called in (each for code in every for each in imported(code)):
        module = found(name)
        if module is None:
            absent.append(name)
        elif part and not hasattr(module, part) and found(f"{name}.{part}") is None:
            absent.append(f"{name}.{part}")
        elif called:
            modules[called] = sys.modules[name.split(".")[0]]
    pairs = [pair for code in every for pair in steps(code)]
    known |= {step.argval for step, _ in pairs if step.opname in ("STORE_NAME", "STORE_GLOBAL")}
    for step, following in pairs:
        if step.opname not in ("LOAD_NAME", "LOAD_GLOBAL"):
            continue
        if step.argval not in known:
            absent.append(step.argval)
        elif following.opname in ("LOAD_ATTR", "LOAD_METHOD") and step.argval in modules:
            if not hasattr(modules[step.argval], following.argval):
                absent.append(f"{step.argval}.{following.argval}")
    return sorted(set(absent))


class Names(unittest.TestCase):
    def test_every_name_that_a_script_asks_for_is_there(self):
        files = sources()
        for file in [LOADTEST / "processes.py", LOADTEST / "scrape", TESTS / "names.py", ROOT / "grafana/render/pictures.py"]:
            self.assertIn(file, files)
        asked_in_vain = {str(file.relative_to(ROOT)): missing(file.read_text(), str(file)) for file in files}
        self.assertEqual({file: names for file, names in asked_in_vain.items() if names}, {})

    def test_a_name_that_is_not_there_is_seen_wherever_it_is_asked_for(self):
        for text, names in [
            ("import processes\nprocesses.say('')", []),
            ("import processes\nprocesses.shout('')", ["processes.shout"]),
            ("def f():\n    return common.wrk\nimport common", ["common"]),
            ("def f():\n    import common", ["common"]),
            ("from processes import say, shout", ["processes.shout"]),
            ("import processes\nclass A(processes.Programme): pass", ["processes.Programme"]),
            ("import processes as p\nlambda: p.shout", ["p.shout"]),
            ("def f(processes):\n    return processes.shout\nimport processes", []),
            ("import urllib.request\nurllib.request.urlopen", []),
            ("from concurrent import futures\nimport os.path", []),
            ("def f():\n    return wrk.load()", ["wrk"]),
        ]:
            self.assertEqual(missing(text), names, text)


class Usage(unittest.TestCase):
    def test_every_script_says_how_it_is_used(self):
        environment = os.environ | {"PYTHONDONTWRITEBYTECODE": "1"}
        for file in scripts():
            command = [*interpreter(file), str(file), "--help"]
            done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment)
            self.assertEqual(done.returncode, 0, f"{file}: {done.stderr}")
            self.assertIn(file.name, done.stdout, file)


if __name__ == "__main__":
    unittest.main()
