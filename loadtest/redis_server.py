"""A Redis of the measurement's own, and jeton on it."""

import base64
import os
import re
import subprocess
import sys
import tempfile

import processes
import servers

# As docs/redis.md says that a store should be kept.
KEPT = ["--appendonly", "yes", "--appendfsync", "everysec", "--maxmemory-policy", "noeviction", "--save", ""]


class Redis(processes.Program):
    """A server on a free port, on one core, with a folder that goes with it."""

    def __init__(self, core):
        self.folder = tempfile.TemporaryDirectory(prefix="jeton-redis-")
        self.port = processes.free_port()
        self.url = f"redis://127.0.0.1:{self.port}"
        command = ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--dir", self.folder.name, *KEPT]
        super().__init__(processes.pinned(core, command), stdout=subprocess.DEVNULL)
        processes.wait_for_listener(f"127.0.0.1:{self.port}", self.process)

    def stop(self):
        super().stop()
        self.folder.cleanup()

    def ask(self, *command):
        """What it answers to a command that must succeed."""
        done = subprocess.run(["redis-cli", "-p", str(self.port), *command], capture_output=True, text=True)
        if done.returncode != 0:
            sys.exit(f"redis-cli {' '.join(command)}: {done.stderr}")
        return done.stdout

    def version(self):
        return re.search(r"redis_version:(\S+)", self.ask("INFO", "server"))[1]

    def calls(self):
        """How often each command was called, by a client or by a script."""
        found = re.findall(r"cmdstat_(\S+?):calls=(\d+)", self.ask("INFO", "commandstats"))
        return {name: int(calls) for name, calls in found}


class Home(servers.Home):
    """A store in Redis with clients, as many more that nobody asks for yet, and the master key in a folder."""

    def __init__(self, clients, new, redis):
        super().__init__(clients + new, redis.url)
        self.clients, self.new = clients, range(clients, clients + new)

    def settings(self):
        file = f"{self.folder.name}/master-key"
        with open(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as key:
            key.write(base64.urlsafe_b64encode(os.urandom(32)).decode().rstrip("="))
        return {"JETON_MASTER_KEY_FILE": file}


def difference(before, after):
    """What was called in between, but for the question itself."""
    between = {name: calls - before.get(name, 0) for name, calls in after.items() if name != "info"}
    return {name: calls for name, calls in between.items() if calls}
