"""wrk as the generator of a closed loop: as many requests as a server answers, for its capacity."""

import json
import pathlib
import re
import subprocess
import sys

from processes import clean_environment, pinned, say

SCRIPT = pathlib.Path(__file__).resolve().parent / "token.lua"


def load(server, core, seconds, connections=64, environment=None):
    """Loads a server for some seconds; what wrk counted."""
    variables = clean_environment() | {
        "JETON_SECRET": server.home.client["client_secret"],
        "JETON_CLIENTS": str(server.home.clients),
    }
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "-s", str(SCRIPT), f"http://{server.address}"]
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
        result = load(server, core, seconds, connections)
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
