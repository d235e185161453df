"""Other token servers with the same clients, on the same core, asked the same: what they do is in rivals/."""

import subprocess
import sys

import installation
from processes import Program, ask, clean_environment, free_port, pinned, wait_for_listener

HERE = installation.ROOT / "loadtest/rivals"


def node_oidc_provider(home, core, algorithm="EdDSA"):
    """node-oidc-provider on its port."""
    port = free_port()
    command = [installation.node(), "server.mjs", str(port), str(home.clients), algorithm]
    return Rival(home, core, port, command, HERE / "oidc-provider", {"NODE_ENV": "production"})


def node_oidc_provider_rs256(home, core):
    """The same with the algorithm that it has unless it is told otherwise."""
    return node_oidc_provider(home, core, "RS256")


def authlib(home, core):
    """Authlib under gunicorn with one worker process, whose few threads keep the connections apart."""
    port = free_port()
    command = [str(installation.python_programs() / "gunicorn"), "server:app", "--bind", f"127.0.0.1:{port}"]
    command += ["--worker-class", "gthread", "--threads", "4", "--keep-alive", "600", "--log-level", "error"]
    command += ["--no-control-socket", "--worker-tmp-dir", home.folder.name]
    quiet = {"COUNT": str(home.clients), "PYTHONWARNINGS": "ignore", "PYTHONDONTWRITEBYTECODE": "1"}
    return Rival(home, core, port, command, HERE / "authlib", quiet)


STARTERS = {
    "node-oidc-provider": node_oidc_provider,
    "node-oidc-provider-rs256": node_oidc_provider_rs256,
    "authlib": authlib,
}
NAMES = [*STARTERS]


def start(name, home, core):
    """The rival of this name, once it answers."""
    return STARTERS[name](home, core)


class Rival(Program):
    """A server of somebody else."""

    def __init__(self, home, core, port, command, folder, environment):
        self.home, self.address = home, f"127.0.0.1:{port}"
        variables = clean_environment() | environment | {"JETON_SECRET": home.client["client_secret"]}
        # What it has to say about being set up for a measurement is of no interest; that it answers is.
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        super().__init__(pinned(core, command), cwd=folder, env=variables, **quiet)
        wait_for_listener(self.address, self.process)
        host = f"GET /.well-known/jwks.json HTTP/1.1\r\nHost: {self.address}\r\n\r\n"
        if not ask(self.address, host.encode()).startswith(b"HTTP/1.1 200"):
            self.stop()
            sys.exit(f"{command[0]} does not answer")
