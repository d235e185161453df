"""jeton as it is measured: built, on a store with many clients, on one core. Nothing is left behind but the build."""

import base64
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time
import urllib.request

import wrk
from processes import Program, ask, clean_environment, pinned, request

ROOT = pathlib.Path(__file__).resolve().parent.parent
# "smoke" is the release without its slow linking, for when figures do not matter.
PROFILE = os.environ.get("JETON_LOADTEST_PROFILE", "release")
BUILT = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / PROFILE
SCOPE = "read write"
AUDIENCE = "https://api.example.com"


def build():
    """Builds the server, then what runs beside it, so that its own features stay its own."""
    if os.environ.get("JETON_SKIP_BUILD"):
        if not (BUILT / "jeton").exists():
            sys.exit(f"JETON_SKIP_BUILD is set, but {BUILT / 'jeton'} is not built")
        return
    cargo("--bin", "jeton")
    cargo("--example", "yardstick", "--example", "seed")


def cargo(*what):
    """Builds something of the workspace as it is measured."""
    subprocess.run(["cargo", "build", "--locked", "--profile", PROFILE, *what], cwd=ROOT, check=True)


class Home:
    """A folder with a store, one client in it and copies of that client."""

    def __init__(self, clients, store=None):
        self.folder = tempfile.TemporaryDirectory(prefix="jeton-load-")
        self.store = store or f"sqlite:{self.folder.name}/jeton.db"
        self.environment = clean_environment() | self.settings()
        added = self.run(["client", "add", "load", "--scope", SCOPE, "--audience", AUDIENCE, "-o", "json"])
        self.client = json.loads(added)
        self.clients = clients
        seed = [str(BUILT / "examples/seed"), self.store, self.client["client_id"], str(clients)]
        quiet = None if clients > 100_000 else subprocess.DEVNULL
        subprocess.run(seed, check=True, stderr=quiet, env=self.environment | self.PATIENCE)

    # A store elsewhere is filled by many writes at a time, each of which waits for those before it.
    PATIENCE = {"JETON_STORE__REDIS_DEADLINE": "10s"}

    def settings(self):
        """What commands and servers on this store are told besides, as variables."""
        return {}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.folder.cleanup()

    def resource_server(self):
        """A client that introspects tokens of the others, and gets none."""
        added = self.run(["client", "add", "resource server", "--serves", AUDIENCE, "--tokens", "false", "-o", "json"])
        return json.loads(added)

    def run(self, arguments):
        """A command of jeton on this store."""
        command = [str(BUILT / "jeton"), "--store", self.store, *arguments]
        done = subprocess.run(command, capture_output=True, text=True, env=self.environment)
        if done.returncode != 0:
            sys.exit(f"{' '.join(command)}: {done.stderr}")
        return done.stdout


class Jeton(Program):
    """A running server: one worker, unless told otherwise, and its defaults."""

    def __init__(self, home, core, settings=None, binary=BUILT / "jeton"):
        environment = home.environment | {"JETON_SERVE__WORKERS": "1"} | (settings or {})
        command = [str(binary), "--store", home.store, "serve", "--issuer", "https://issuer.example.com"]
        command += ["--listen", "127.0.0.1:0", "--ops-listen", "127.0.0.1:0"]
        started = time.monotonic()
        super().__init__(pinned(core, command), stderr=subprocess.PIPE, text=True, env=environment)
        self.home = home
        line = "it said nothing"
        for line in self.process.stderr:
            told = json.loads(line) if line.startswith("{") else {}
            told = told | told.get("fields", {})
            if "ops_listen" in told:
                self.ready_after = time.monotonic() - started
                self.address, self.ops = told["listen"], told["ops_listen"]
                return
            # The loader would go on without what it was to load, which then is not what is measured.
            if line.startswith("ERROR: ld.so"):
                break
        self.stop()
        sys.exit(f"the server did not start: {binary}: {line.strip()}")

    def metric(self, series):
        """The value of one series, by its whole name."""
        with urllib.request.urlopen(f"http://{self.ops}/metrics") as answer:
            for line in answer.read().decode().splitlines():
                if line.startswith(series + " "):
                    return float(line.rsplit(" ", 1)[1])
        return 0.0

    def token(self):
        """Asks for one token; the whole answer."""
        pair = f"{self.home.client['client_id']}:{self.home.client['client_secret']}"
        answer = ask(self.address, request(self.address, f"Basic {base64.b64encode(pair.encode()).decode()}"))
        if not answer.startswith(b"HTTP/1.1 200"):
            sys.exit(f"no token: {answer[:300]!r}")
        return answer

    def warm(self, core):
        """Brings every client into memory: each is asked for, one after the other."""
        first = 0
        while first < self.home.clients:
            environment = {"JETON_ORDER": "each", "JETON_FIRST": str(first)}
            seconds = 1 if self.home.clients - first <= 10_000 else 10
            first += wrk.load(self, core, seconds, connections=32, environment=environment)["requests"]
