"""What the measurements share: building, a server with seeded clients, wrk, and the kernel's figures.

Every program that is started here is ended here, whatever happens. Nothing is left behind but the build.
"""

import base64
import json
import os
import pathlib
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent
RELEASE = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "release"
SCOPE = "read write"
AUDIENCE = "https://api.example.com"


def need(program):
    """Ends with advice when a program is missing."""
    if shutil.which(program) is None:
        sys.exit(f"{program} is missing: install it, as with 'apt-get install {program}'")


def build():
    """Builds the server, then what runs beside it, so that its own features stay its own."""
    if os.environ.get("JETON_SKIP_BUILD"):
        return
    subprocess.run(["cargo", "build", "--release", "--bin", "jeton"], cwd=ROOT, check=True)
    subprocess.run(["cargo", "build", "--release", "--example", "yardstick", "--example", "seed"], cwd=ROOT, check=True)


def cores():
    """The core of the server and the core of the load; the same when there is only one."""
    usable = sorted(os.sched_getaffinity(0))
    return usable[0], usable[-1]


def say(text):
    """Progress goes beside the figures."""
    print(text, file=sys.stderr, flush=True)


class Program:
    """A process that ends with the measurement."""

    def __init__(self, command, **options):
        self.process = subprocess.Popen(command, **options)
        self.pid = self.process.pid

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        """Ends the process, by force when it takes its time."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(15)
            except subprocess.TimeoutExpired:
                self.process.kill()
        self.process.wait()

    def cpu_nanos(self):
        """Processor time of all threads; those that ended meanwhile are not counted, and none do."""
        total = 0
        for task in pathlib.Path(f"/proc/{self.pid}/task").iterdir():
            total += int((task / "schedstat").read_text().split()[0])
        return total

    def memory_kib(self):
        """Resident memory."""
        text = pathlib.Path(f"/proc/{self.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", text)[1])


class Home:
    """A folder with a store, one client in it and copies of that client."""

    def __init__(self, clients):
        self.folder = tempfile.TemporaryDirectory(prefix="jeton-load-")
        self.store = f"sqlite:{self.folder.name}/jeton.db"
        added = self.run(["client", "add", "load", "--scope", SCOPE, "--audience", AUDIENCE, "-o", "json"])
        self.client = json.loads(added)
        self.clients = clients
        seed = [str(RELEASE / "examples/seed"), self.store, self.client["client_id"], str(clients)]
        subprocess.run(seed, check=True, stderr=None if clients > 100_000 else subprocess.DEVNULL)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.folder.cleanup()

    def run(self, arguments):
        """A command of jeton on this store."""
        command = [str(RELEASE / "jeton"), "--store", self.store, *arguments]
        done = subprocess.run(command, capture_output=True, text=True, env=clean_environment())
        if done.returncode != 0:
            sys.exit(f"{' '.join(command)}: {done.stderr}")
        return done.stdout


class Jeton(Program):
    """A running server: one worker, unless told otherwise, and its defaults."""

    def __init__(self, home, core, settings=None):
        environment = clean_environment() | {"JETON_SERVE__WORKERS": "1"} | (settings or {})
        command = [str(RELEASE / "jeton"), "--store", home.store, "serve", "--issuer", "https://issuer.example.com"]
        command += ["--listen", "127.0.0.1:0", "--ops-listen", "127.0.0.1:0"]
        started = time.monotonic()
        super().__init__(pinned(core, command), stderr=subprocess.PIPE, text=True, env=environment)
        self.home = home
        for line in self.process.stderr:
            told = json.loads(line) if line.startswith("{") else {}
            told = told | told.get("fields", {})
            if "ops_listen" in told:
                self.ready_after = time.monotonic() - started
                self.address, self.ops = told["listen"], told["ops_listen"]
                return
        sys.exit("the server did not start")

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
            first += wrk(self, core, seconds, connections=32, environment=environment)["requests"]


def request(host, authorization):
    """A whole token request."""
    body = "grant_type=client_credentials"
    head = f"POST /oauth2/token HTTP/1.1\r\nHost: {host}\r\nAuthorization: {authorization}\r\n"
    head += f"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body.encode()


def ask(address, request):
    """Sends one request over a connection that could be kept; the whole answer."""
    with socket.create_connection(split(address), timeout=10) as stream:
        stream.sendall(request)
        answer = b""
        while True:
            head, found, body = answer.partition(b"\r\n\r\n")
            length = re.search(rb"(?i)\r\ncontent-length: (\d+)", head)
            if found and length and len(body) >= int(length[1]):
                return answer
            part = stream.recv(65536)
            if not part:
                sys.exit(f"{address} closed the connection: {answer[:300]!r}")
            answer += part


def split(address):
    """Host and port."""
    host, port = address.rsplit(":", 1)
    return host, int(port)


def free_port():
    """A port that was free a moment ago, for programs that cannot choose one themselves."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def wait_for_listener(address, process, seconds=20):
    """Returns once somebody listens there; ends with an error when the process does, or when nobody ever listens."""
    end = time.monotonic() + seconds
    while process.poll() is None and time.monotonic() < end:
        try:
            socket.create_connection(split(address), timeout=1).close()
            return
        except OSError:
            time.sleep(0.02)
    sys.exit(f"nobody listens at {address}: {' '.join(process.args)}")


def wrk(server, core, seconds, connections=64, environment=None):
    """Loads a server for some seconds; what wrk counted."""
    variables = clean_environment() | {
        "JETON_SECRET": server.home.client["client_secret"],
        "JETON_CLIENTS": str(server.home.clients),
    }
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "-s", str(HERE / "token.lua"), f"http://{server.address}"]
    output = subprocess.run(
        pinned(core, command), check=True, stdout=subprocess.PIPE, text=True, env=variables | (environment or {})
    ).stdout
    result = json.loads(re.search(r"RESULT (.*)", output)[1])
    return result


def measured(server, core, seconds, connections=64):
    """One round: tokens per second, processor time per token, and latencies in microseconds.

    A server that is kept from its core for long refuses some requests, as it should. Such a round says more of the
    machine than of the server, and is repeated; so is one in which a connection broke.
    """
    for _ in range(10):
        before = server.cpu_nanos()
        result = wrk(server, core, seconds, connections)
        spent = server.cpu_nanos() - before
        if result["refused"] == 0 and result["broken"] == 0:
            break
        say(f"a round is repeated: {result['refused']} of {result['requests']} requests were refused, {result['broken']} broke")
    else:
        sys.exit("the machine is too busy to measure anything")
    return {
        "tokens_per_second": result["requests"] / (result["micros"] / 1e6),
        "cpu_ns_per_token": spent / result["requests"],
        "p50_us": result["p50"],
        "p99_us": result["p99"],
    }


def median(rounds, name):
    """The median of one figure over rounds."""
    return statistics.median(each[name] for each in rounds)


def pinned(core, command):
    """The command, kept on one core."""
    return ["taskset", "-c", str(core), *command]


def clean_environment():
    """The environment without settings of the server."""
    return {name: value for name, value in os.environ.items() if not name.startswith("JETON_")}
