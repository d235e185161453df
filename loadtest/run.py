"""The whole load test: capacity beside yardsticks and rivals, latency in an open loop, k6's scenarios, HTTP/2, two workers
beside one, and a million clients.

Boots `jeton serve` with one worker on one core and drives it from another; a store with 10,000 clients, nothing else
set. Writes result.json and report.html; ends with 1 when a bound was missed. On a machine that does other work the
bounds of the full run are likely to be missed, and the report says how much of its core the server had. What is aimed
at beyond the bounds is shown as met or missed.
"""

import argparse
import datetime
import json
import pathlib
import subprocess
import sys
import time

import http2
import installation
import open_loop
import processes
import results
import rivals
import scenarios
import servers
import yardsticks

STAGES = ["capacity", "rivals", "latency", "k6", "http2", "workers", "footprint"]
# The least part of what the others make that jeton has to make.
LEAST = ["signature=0.85"]


def arguments():
    parser = argparse.ArgumentParser(prog="run", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a smoke test of under a minute")
    parser.add_argument("--soak", metavar="TIME", help="drive at half of the capacity for this long, and nothing else")
    parser.add_argument("--goals", action="store_true", help="a missed goal ends with 1 as well, and not only a missed bound")
    parser.add_argument("--only", metavar="STAGES", help=f"some of {','.join(STAGES)} (default: all; without the last two, when quick)")
    parser.add_argument("--clients", type=int, default=10_000, help="distinct clients (default %(default)s)")
    parser.add_argument("--name", help="what the folder of the result is called, behind the date")
    parser.add_argument("--results", type=pathlib.Path, default=servers.ROOT / "loadtest/results", help="where it goes")
    options = parser.parse_args()
    options.only = options.only.split(",") if options.only else STAGES[:-2] if options.quick else STAGES
    for stage in options.only:
        if stage not in STAGES:
            parser.error(f"there is no stage {stage}")
    if options.goals and not {"capacity", "rivals"} <= set(options.only):
        parser.error("--goals needs the stages capacity and rivals")
    options.name = options.name or ("quick" if options.quick else f"soak-{options.soak}" if options.soak else "full")
    return options


def capacity(options):
    """The table of loadtest/capacity."""
    beside = yardsticks.NAMES if not options.quick else ["signature", "nginx"]
    if "rivals" in options.only:
        installation.node()
        beside = beside + (["node-oidc-provider"] if options.quick else rivals.NAMES)
    rounds = ["--pairs", "2", "--seconds", "1"] if options.quick or options.soak else ["--pairs", "6", "--seconds", "2"]
    command = [*rounds, "--clients", str(options.clients)]
    command += ["--beside", ",".join(beside)]
    # A bound on ratios of one run holds on a busy machine as well, if the rounds are many.
    least = [] if options.quick or options.soak else LEAST
    command += [part for bound in least for part in ("--least", bound)] or ["--least", "signature=0"]
    return measured_by("capacity", *command), least


def drive(options, result):
    """All stages but the capacity, on one server."""
    core, load_core = processes.cores()
    with servers.Home(options.clients) as home, servers.Jeton(home, core) as jeton:
        jeton.warm(load_core)
        rate = result.tokens_per_second()
        if options.soak:
            result.add_runs(open_loop.soak(jeton, load_core, rate / 2, options.soak), "soak")
            result.add_verdict(*open_loop.memory_verdict(jeton))
            return
        if "latency" in options.only:
            result.add_runs(open_loop.runs(jeton, load_core, rate, options.quick), "latency")
        if "k6" in options.only:
            result.add_scenarios(scenarios.run_all(jeton, load_core, options.quick))
        if "http2" in options.only:
            result.add_http2(http2.measured(jeton, load_core, 2 if options.quick else 6))


def measured_by(script, *more):
    """What a script of this folder says in JSON."""
    done = subprocess.run([str(servers.ROOT / "loadtest" / script), "--json", *more], stdout=subprocess.PIPE, text=True)
    if done.returncode not in (0, 1) or not done.stdout:
        sys.exit(f"loadtest/{script} could not measure")
    return json.loads(done.stdout)


def main():
    options = arguments()
    installation.programs()
    if "k6" in options.only:
        installation.python_programs()
    servers.build()
    open_loop.build()
    started = time.time()
    result = results.Result(options)
    if "capacity" in options.only or options.soak:
        table, least = capacity(options)
        result.add_capacity(table, least)
        # Two rounds of a second decide nothing.
        if options.goals or not (options.quick or options.soak):
            result.add_goals(table, options.goals)
    drive(options, result)
    if "workers" in options.only and not options.soak:
        result.add_workers(measured_by("workers"), options.goals)
    if "footprint" in options.only and not options.soak:
        result.add_footprint(measured_by("footprint"), options.goals)
    day = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d")
    folder = options.results / f"{day}-{options.name}"
    kept = result.write(folder)
    processes.say(f"after {time.time() - started:.0f} s: {folder / 'report.html'}")
    sys.exit(0 if kept else 1)


if __name__ == "__main__":
    main()
