"""Lone requests: servers in turn at rates so low that a request has the server to itself, in loadgen's open loop."""

import sys

import open_loop
import rounds
import yardsticks

FIGURES = ("p50_us", "p99_us")

build = open_loop.build


def measured(driven, core, options):
    """The rounds at each rate, and for each rate a row per server: its medians, and its latencies beside the first's."""
    made, table = {}, {}
    for rate in options.rates:
        command = ["--rate", str(rate), "--duration", f"{options.seconds}s", "--connections", str(options.connections)]
        made[rate] = rounds.in_turn(driven, options.rounds, lambda server: one(server, core, command), shown)
        table[rate] = report(made[rate])
    return made, table


def one(server, core, command):
    """One round of one server: the latencies, and how late the generator was."""
    get = ["--request", "get"] if isinstance(server, yardsticks.Nginx) else []
    run = open_loop.run(server, core, "lone", [*get, *command])["runs"][0]
    found = {f"{figure}_us": run["latency_us"][figure] for figure in ("p50", "p99")}
    if None in found.values():
        sys.exit("more than one of a hundred requests got no token: the machine is too busy to measure anything")
    return found | {"late_us": run["lag_us"]["p99"]}


def shown(figures):
    """One server's part of a line of progress."""
    return f"p50 {figures['p50_us']:.0f} us p99 {figures['p99_us']:.0f} us"


def report(made):
    """A row per server."""
    first, *others = made[0]
    table = {name: {figure: round(rounds.median(made, name, figure)) for figure in (*FIGURES, "late_us")} for name in made[0]}
    for name in others:
        for figure in FIGURES:
            table[name][f"{figure}_of_first"] = rounds.spread(rounds.ratios(made, figure, name, first))
    return table


def show(table):
    """For eyes."""
    for rate, rows in table.items():
        first, wide = next(iter(rows)), max(map(len, rows))
        for name, row in rows.items():
            print(f"{rate:>6}/s  {name:{wide}}  p50 {row['p50_us']:>5} us  p99 {row['p99_us']:>5} us  generator late {row['late_us']} us")
            for figure in FIGURES if name != first else []:
                told = rounds.told(row[f"{figure}_of_first"], "longer")
                print(f"{'':10}{'':{wide}}  {figure[:3]} beside {first}: {told}")
