"""Programs that end with the measurement, the cores they have, and what the kernel and the wire say of them.

Every program that is started here is ended here, whatever happens.
"""

import os
import pathlib
import re
import shutil
import socket
import subprocess
import sys
import time


def say(text):
    """Progress goes beside the figures."""
    print(text, file=sys.stderr, flush=True)


def need(program):
    """Ends with advice when a program is missing."""
    if shutil.which(program) is None:
        sys.exit(f"{program} is missing: install it, as with 'apt-get install {program}'")


def cores():
    """The core of the server and the core of the load; the same when there is only one."""
    usable = sorted(os.sched_getaffinity(0))
    return usable[0], usable[-1]


def core_beside():
    """A core for what the server asks: one of its own, or else the server's, since the generator never rests."""
    usable = sorted(os.sched_getaffinity(0))
    return usable[1] if len(usable) > 2 else usable[0]


# How what is pinned is scheduled: as anything else, unless told otherwise.
SCHEDULE = []


def in_real_time():
    """From now on what is pinned has its core before all other work, as far as the kernel lets it."""
    need("chrt")
    schedule = ["chrt", "--fifo", "1"]
    if subprocess.run([*schedule, "true"], capture_output=True).returncode != 0:
        sys.exit("a real-time schedule is not allowed here: run as root")
    SCHEDULE[:] = schedule


def pinned(core, command):
    """The command, kept on one core."""
    return [*SCHEDULE, "taskset", "-c", str(core), *command]


def clean_environment():
    """The environment without settings of the server."""
    return {name: value for name, value in os.environ.items() if not name.startswith("JETON_")}


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
        """Processor time of all threads, also of processes that this one started; those that ended meanwhile are not
        counted, and none do."""
        return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks(self.pid))

    def memory_kib(self):
        """Resident memory."""
        text = pathlib.Path(f"/proc/{self.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", text)[1])


def tasks(pid):
    """The threads of a process and of its children."""
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        yield task
        for child in (task / "children").read_text().split():
            yield from tasks(child)


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
