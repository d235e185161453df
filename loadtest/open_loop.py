"""The latencies: loadgen at parts of the capacity and beyond it."""

import json
import os
import pathlib
import subprocess
import sys
import tempfile

import processes
import yardsticks
from servers import BUILT, ROOT, cargo

# Name, part of the capacity, connections, bounds; where there is no part, the name says the rate.
FULL = [
    ("100/s", 100, 64, "errors=0"),
    ("1,000/s", 1000, 64, "errors=0"),
    ("10 %", 0.1, 64, "errors=0"),
    ("50 %", 0.5, 64, "p50=0.5ms,p99=2ms,p99.9=10ms,errors=0"),
    ("70 %", 0.7, 64, "errors=0"),
    ("90 %", 0.9, 64, None),
    ("3 ×", 3.0, 1000, "rate={goodput}"),
]
# On a machine that does other work requests are late, and some are refused.
QUICK = [("10 %", 0.1, 64, "errors=5%"), ("50 %", 0.5, 64, "errors=20%"), ("3 ×", 3.0, 500, None)]
# Of what the server makes when it is loaded to the full, this much must remain when it is overloaded.
GOODPUT = 0.8
# Bytes that may be added while nothing changes.
MOST_GROWN = 16 * 1024 * 1024


def build():
    """Builds loadgen."""
    if not os.environ.get("JETON_SKIP_BUILD"):
        cargo("--package", "jeton-loadtest")


def runs(jeton, core, capacity, quick):
    """A run for each row; each as loadgen's result says it."""
    found = []
    for name, part, connections, slo in QUICK if quick else FULL:
        rate = part if part > 10 else part * capacity
        seconds = "3s" if quick else "12s"
        bounds = ["--slo", slo.format(goodput=round(GOODPUT * capacity))] if slo else []
        options = ["--rate", f"{rate:.0f}", "--duration", seconds, "--connections", str(connections), *bounds]
        found.append(run(jeton, core, name, options))
    if not quick:
        options = ["--rate", f"0..{1.2 * capacity:.0f}", "--duration", "15s", "--connections", "256"]
        found.append(run(jeton, core, "ramp to 120 %", options))
        found += controls(jeton, core, capacity)
    return found


def controls(jeton, core, capacity):
    """nginx's constant reply at rates that jeton was asked for, on the same core: what of a latency is the machine's, and
    what the generator reaches."""
    found = []
    with yardsticks.start("nginx", jeton.home, processes.cores()[0], jeton.token()) as nginx:
        for name, part, connections in (("nginx, 50 %", 0.5, 64), ("nginx, 3 ×", 3.0, 1000)):
            options = ["--request", "get", "--rate", f"{part * capacity:.0f}", "--duration", "12s"]
            found.append(run(nginx, core, name, [*options, "--connections", str(connections)]))
    return found


def run(jeton, core, name, options):
    """One run of loadgen, which must come to its end; whether it kept its bounds stands in its result."""
    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder) / "result.json"
        command = [str(BUILT / "loadgen"), "run", "--url", f"http://{jeton.address}", "--seeded", str(jeton.home.clients)]
        command += ["--server-pid", str(jeton.pid), "--name", name, "--spacing", "random", "--json", str(file), *options]
        secret = {"JETON_CLIENT_SECRET": jeton.home.client["client_secret"]}
        environment = processes.clean_environment() | secret
        done = subprocess.run(processes.pinned(core, command), env=environment, stdout=sys.stderr, cwd=ROOT)
        if done.returncode not in (0, 1) or not file.exists():
            sys.exit(f"loadgen failed at {name}")
        return json.loads(file.read_text())


def soak(jeton, core, rate, duration):
    """A long run, and the memory before and after."""
    jeton.memory_before = jeton.memory_kib()
    options = ["--rate", f"{rate:.0f}", "--duration", duration, "--slo", "errors=0.001%"]
    return [run(jeton, core, f"soak of {duration}", options)]


def memory_verdict(jeton):
    """Name, verdict and figures: memory stays what it was."""
    before, after = jeton.memory_before, jeton.memory_kib()
    told = f"{before / 1024:.1f} MiB before, {after / 1024:.1f} MiB after"
    return "memory does not grow", (after - before) * 1024 < MOST_GROWN, told
