"""Tokens over HTTP/2 without TLS, by prior knowledge: h2load with several streams on each of a few connections."""

import base64
import pathlib
import re
import subprocess
import sys
import tempfile

from processes import clean_environment, pinned, say

CONNECTIONS, STREAMS = 8, 8


def measured(jeton, core, seconds):
    """One round: tokens per second, processor time per token, the latencies that h2load tells."""
    say("h2load")
    client = jeton.home.client
    pair = base64.b64encode(f"{client['client_id']}:{client['client_secret']}".encode()).decode()
    with tempfile.TemporaryDirectory() as folder:
        form = pathlib.Path(folder) / "form"
        form.write_text("grant_type=client_credentials")
        command = ["h2load", "-t", "1", "-c", str(CONNECTIONS), "-m", str(STREAMS), "-D", str(seconds), "-d", str(form)]
        command += ["-H", f"authorization: Basic {pair}", "-H", "content-type: application/x-www-form-urlencoded"]
        before = jeton.cpu_nanos()
        done = subprocess.run(
            pinned(core, [*command, f"http://{jeton.address}/oauth2/token"]), capture_output=True, text=True, env=clean_environment()
        )
        spent = jeton.cpu_nanos() - before
    return figures(done.stdout, spent) or sys.exit(f"h2load failed: {done.stderr}{done.stdout}")


def figures(told, spent):
    """What h2load told, as numbers; nothing where it did not."""
    rate = re.search(r"finished in [\d.]+\w+, ([\d.]+) req/s", told)
    statuses = re.search(r"status codes: (\d+) 2xx, (\d+) 3xx, (\d+) 4xx, (\d+) 5xx", told)
    failed = re.search(r"(\d+) failed, (\d+) errored, (\d+) timeout", told)
    if not (rate and statuses and failed) or int(statuses[1]) == 0:
        return None
    answers = sum(map(int, statuses.groups()))
    return {
        "connections": CONNECTIONS,
        "streams": STREAMS,
        "tokens": int(statuses[1]),
        "tokens_per_second": round(float(rate[1])),
        "cpu_ns_per_token": round(spent / answers),
        "failed": answers - int(statuses[1]) + sum(map(int, failed.groups()[1:])),
    }
