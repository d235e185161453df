"""k6's scenarios, one after the other; what they ask and expect is in k6/."""

import json
import pathlib
import subprocess
import sys
import tempfile

import installation
import processes
from servers import ROOT

HERE = ROOT / "loadtest/k6"
# k6's exit code for a threshold that was crossed.
CROSSED = 99
# The scenarios with requests per second and duration. k6 takes about 10,000 a second from a core, and less with checks.
FULL = {
    "basic": (1000, "8s"),
    "post": (1000, "8s"),
    "mixed": (1000, "8s"),
    "introspection": (1000, "8s"),
    "jwks": (1000, "8s"),
    "spike": (2500, "12s"),
    "soak": (500, "20s"),
    "breakpoint": (0, "12s"),
}
QUICK = {name: (50, "2s") for name in ("basic", "mixed", "introspection", "jwks")}


def run_all(jeton, core, quick):
    """A row per scenario."""
    server = jeton.home.resource_server()
    common = processes.clean_environment() | {
        "JETON_URL": f"http://{jeton.address}",
        "JETON_CLIENTS": str(jeton.home.clients),
        "JETON_CLIENT_SECRET": jeton.home.client["client_secret"],
        "JETON_SERVER_ID": server["client_id"],
        "JETON_SERVER_SECRET": server["client_secret"],
    }
    if quick:
        # A machine that does other work keeps everybody waiting.
        common |= {"P99_MS": "3000", "MOST_DROPPED": "20"}
    rows = []
    for name, (rate, duration) in (QUICK if quick else FULL).items():
        processes.say(f"k6: {name}")
        rows.append(run(name, core, common | {"RATE": str(rate), "DURATION": duration, "MOST": "15000"}))
    return rows


def run(name, core, environment):
    """One scenario; its figures, and whether its thresholds held."""
    k6 = str(installation.python_programs() / "k6")
    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder) / "summary.json"
        command = [k6, "run", "--quiet", "--no-usage-report", "--no-color", f"--summary-export={file}", f"{name}.js"]
        done = subprocess.run(
            processes.pinned(core, command), cwd=HERE, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        if done.returncode not in (0, CROSSED):
            sys.exit(f"k6 failed at {name}: {done.stdout}")
        metrics = json.loads(file.read_text())["metrics"]
    took = metrics["http_req_duration"]
    crossed = sorted(
        f"{metric}: {threshold}"
        for metric, value in metrics.items()
        for threshold, failed in value.get("thresholds", {}).items()
        if failed
    )
    return {
        "name": name,
        "requests": metrics["http_reqs"]["count"],
        "per_second": round(metrics["http_reqs"]["rate"]),
        "checks": metrics["checks"]["passes"],
        "checks_failed": metrics["checks"]["fails"],
        "dropped": metrics.get("dropped_iterations", {}).get("count", 0),
        "p50_ms": round(took["med"], 3),
        "p95_ms": round(took["p(95)"], 3),
        "max_ms": round(took["max"], 3),
        "crossed": crossed,
        # The breakpoint is where it breaks: to cross its threshold is what it is for.
        "kept": done.returncode == 0 or name == "breakpoint",
    }
