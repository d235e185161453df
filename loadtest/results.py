"""The result: what every stage found, as one JSON document that loadgen makes a page of."""

import json
import shlex
import subprocess
import sys

from servers import BUILT

NAMES = {
    "jeton": "jeton",
    "signature": "bare hyper, ed25519-dalek one by one",
    "aws-lc": "bare hyper, aws-lc-rs one by one",
    "no-signature": "bare hyper, no signature",
    "portable": "jeton without vector instructions",
    "nginx": "nginx, constant reply",
    "node-oidc-provider": "node-oidc-provider, Ed25519",
    "node-oidc-provider-rs256": "node-oidc-provider, RS256 as it comes",
    "authlib": "Authlib under gunicorn",
}
CAPACITY_NOTE = (
    "One worker on one core, wrk on another: 64 connections, {clients:,} clients, rounds of all servers in turn and "
    "backwards, medians. A core's tokens per second are a second divided by the processor time of one reply. The "
    "yardsticks answer with as many bytes as jeton and do less; the rivals have the same clients in memory, check the "
    "secret by Basic and sign a JWT, with Ed25519 unless said otherwise, in one process on the same core."
)
GOALS_NOTE = "What is aimed at. Unlike a bound, a goal that is missed fails no run, unless by --goals."
K6_NOTE = "Open loops of k6 with thresholds; the breakpoint goes on until something breaks, which on one core is mostly k6."
WORKERS_NOTE = "Both cores carry a generator in either case, so that a second worker is all that differs. nginx as well, for the machine's part."
FOOTPRINT_NOTE = (
    "{first_token_ms} ms from the start to the first token, {idle_kib} KiB while idle. Every number of clients is loaded in "
    "turn with the first; `of the first` is the median of the ratios within the rounds."
)
HTTP2_NOTE = "Prior knowledge, without TLS: {connections} connections with {streams} streams each, one client."


class Result:
    """What is known so far."""

    def __init__(self, options):
        title = "jeton under load, for an hour and longer" if options.soak else "jeton under load"
        self.clients = options.clients
        self.goals = []
        self.document = {"title": title, "cards": [], "verdicts": [], "sections": [], "runs": []}
        words = [word for word in sys.argv[1:] if not word.startswith("--results") and word != str(options.results)]
        self.document["commands"] = [f"bash loadtest/run {shlex.join(words)}".strip()]

    def tokens_per_second(self):
        """What the server makes on this machine now, as counted; 10,000 when nobody has looked."""
        return self.document.get("capacity", {}).get("jeton", {}).get("tokens_per_second", 10_000)

    def add_verdict(self, name, kept, detail):
        self.document["verdicts"].append({"name": name, "kept": bool(kept), "detail": detail})

    def card(self, label, value, note=""):
        self.document["cards"].append({"label": label, "value": value, "note": note})

    def add_capacity(self, table, least):
        """The table of capacity, and the bounds of ratios."""
        self.document["capacity"] = table
        missed = set(table["missed"])
        rows = {name: row for name, row in table.items() if isinstance(row, dict)}
        for bound in least:
            name, part = bound.split("=")
            told = f"{rows[name]['ratio_cpu']:.3f} by processor time, {rows[name]['ratio_tokens']:.3f} as counted"
            self.add_verdict(f"at least {part} of {NAMES[name]}", name not in missed, told)
        ours = rows["jeton"]
        self.card("tokens per second of a core", f"{ours['tokens_per_second_of_a_core']:,}", f"{ours['cpu_ns_per_token']:,} ns of CPU each")
        for name, label in (("nginx", "of nginx's constant reply"), ("node-oidc-provider", "of node-oidc-provider")):
            if name in rows:
                ratio = rows[name]["ratio_cpu"]
                shown = f"{100 * ratio:.0f} %" if ratio < 2 else f"{ratio:.0f} ×"
                self.card(label, shown, f"{rows[name]['tokens_per_second_of_a_core']:,}/s of a core")
        self.document["sections"].append(capacity_section(rows, self.clients))

    def add_goals(self, table, bind):
        """The goals of the capacity."""
        for goal in table["goals"]:
            self.add_goal(f"at least {goal['part']:g} of {NAMES[goal['name']]}", table[goal["name"]]["ratio_cpu"], goal["is_met"], bind)

    def add_goal(self, aim, reached, is_met, bind):
        """What is aimed at beyond the bounds: met or missed in words; a verdict as well where it is to bind."""
        reached = f"{reached:.2f}" if reached < 10 else f"{reached:.0f}"
        word = "met" if is_met else "missed"
        self.goals.append((aim, reached, word))
        if bind:
            self.add_verdict(f"goal: {aim}", is_met, f"{reached} by processor time")

    def add_workers(self, table, bind):
        """Two workers beside one."""
        self.document["workers"] = table
        cells = []
        for name, row in table.items():
            for kind in ("one", "two"):
                cells.append([f"{name}, {kind}", f"{row[kind]['cpu_ns_per_token']:,} ns", f"{row[kind]['tokens_per_second']:,}/s"])
            cells.append([f"{name}, two of one", f"{row['ratio']:.2f}", ""])
        self.add_goal("two workers at least 1.9 of one", table["jeton"]["ratio"], table["jeton"]["ratio"] >= 1.9, bind)
        columns = ["workers", "CPU per reply", "counted"]
        self.document["sections"].append({"title": "Two workers", "note": WORKERS_NOTE, "columns": columns, "rows": cells})

    def add_footprint(self, table, bind):
        """Start, memory, and numbers of clients."""
        self.document["footprint"] = table
        cells = []
        for row in table["rows"]:
            memory = [f"{row['bytes_per_client']:,} B", f"{row['memory_mib']:,} MiB"]
            cells.append([f"{row['clients']:,}", *memory, f"{row['cpu_ns_per_token']:,} ns", f"{row['of_the_first']:.3f}"])
            if row["clients"] == 1_000_000:
                self.add_goal("a million clients at least 0.9 of a thousand", row["of_the_first"], row["of_the_first"] >= 0.9, bind)
        note = FOOTPRINT_NOTE.format(**table)
        columns = ["clients", "each", "in all", "CPU per token", "of the first"]
        self.document["sections"].append({"title": "Clients in memory", "note": note, "columns": columns, "rows": cells})

    def add_runs(self, reports, stage):
        """loadgen's results: the runs, and what it knows of the machine."""
        for report in reports:
            for known in ("machine", "commit", "started_at"):
                self.document.setdefault(known, report[known])
            self.document["runs"] += report["runs"]
        runs = {run["name"]: run for run in self.document["runs"]}
        if half := runs.get("50 %"):
            p50, p99 = (shown_ms(half["latency_us"][name]) for name in ("p50", "p99"))
            self.card("p99 at half of the capacity", p99, f"p50 {p50}, open loop at {half['rate'][0]:,.0f}/s")
        if over := runs.get("3 ×"):
            part = over["tokens_per_second"] / self.tokens_per_second()
            self.card("goodput at three times the capacity", f"{100 * part:.0f} %", f"{over['tokens_per_second']:,.0f}/s of {over['rate'][0]:,.0f}/s")
        verified = [run["verified"] for run in runs.values() if run["verified"]]
        self.card("tokens verified", f"{sum(each['checked'] for each in verified):,}", f"{sum(each['compared'] for each in verified):,} all different")
        self.document["commands"].append(f"target/release/loadgen run --help    # the stage '{stage}'")

    def add_scenarios(self, rows):
        """k6's rows."""
        self.document["k6"] = rows
        cells = []
        for row in rows:
            told = "; ".join(row["crossed"]) or "held"
            self.add_verdict(f"k6: {row['name']}", row["kept"], told)
            counts = [f"{row['requests']:,}", f"{row['per_second']:,}/s", f"{row['checks']:,}", str(row["checks_failed"]), str(row["dropped"])]
            cells.append([row["name"], *counts, *(f"{row[name]} ms" for name in ("p50_ms", "p95_ms", "max_ms")), told])
        columns = ["scenario", "requests", "rate", "checks", "failed", "dropped", "p50", "p95", "max", "thresholds"]
        self.document["sections"].append({"title": "k6", "note": K6_NOTE, "columns": columns, "rows": cells})

    def add_http2(self, row):
        """h2load's row."""
        self.document["http2"] = row
        self.add_verdict("HTTP/2: every request gets a token", row["failed"] == 0, f"{row['tokens']:,} tokens, {row['failed']} without")
        cells = [[f"{row['tokens_per_second']:,}/s", f"{row['cpu_ns_per_token']:,} ns", f"{row['tokens']:,}", str(row["failed"])]]
        columns = ["tokens", "CPU per token", "in all", "failed"]
        note = HTTP2_NOTE.format(**row)
        self.document["sections"].append({"title": "HTTP/2", "note": note, "columns": columns, "rows": cells})

    def write(self, folder):
        """Writes both files; whether everything was kept."""
        folder.mkdir(parents=True, exist_ok=True)
        if self.goals:
            columns = ["goal", "reached", ""]
            self.document["sections"].append({"title": "Goals", "note": GOALS_NOTE, "columns": columns, "rows": list(map(list, self.goals))})
        file = folder / "result.json"
        self.document.setdefault("machine", {"processor": "unknown", "cores": 0, "memory_mib": 0, "kernel": "", "load": 0})
        self.document.setdefault("commit", "unknown")
        self.document.setdefault("started_at", 0)
        file.write_text(json.dumps(self.document, ensure_ascii=False) + "\n")
        page = [str(BUILT / "loadgen"), "report", str(file), "--output", str(folder / "report.html")]
        subprocess.run(page, check=True)
        missed = [verdict for verdict in self.document["verdicts"] if not verdict["kept"]]
        for verdict in missed:
            print(f"missed: {verdict['name']}: {verdict['detail']}")
        for run in self.document["runs"]:
            for sentence in run["missed"]:
                print(f"missed: {run['name']}: {sentence}")
        for aim, reached, word in self.goals:
            print(f"goal {word}: {aim}: {reached}")
        for card in self.document["cards"]:
            print(f"{card['label']:38} {card['value']:>10}   {card['note']}")
        return not missed and not any(run["missed"] for run in self.document["runs"])


def capacity_section(rows, clients):
    """Bars and a table, the quickest first."""
    ordered = sorted(rows.items(), key=lambda row: row[1]["cpu_ns_per_token"])
    bars = [{"label": NAMES[name], "value": row["tokens_per_second_of_a_core"], "ours": name == "jeton"} for name, row in ordered]
    cells = []
    for name, row in ordered:
        ratio = f"{row['ratio_cpu']:.3f}" if name != "jeton" else ""
        counted = [f"{row['tokens_per_second']:,}/s", f"{row['percent_of_the_core']} %"]
        cells.append([NAMES[name], f"{row['cpu_ns_per_token']:,} ns", *counted, f"{row['p50_us']:,} µs", f"{row['p99_us']:,} µs", ratio])
    columns = ["server", "CPU per reply", "counted", "of its core", "p50", "p99", "jeton makes of it"]
    note = CAPACITY_NOTE.format(clients=clients)
    return {"title": "Capacity of one core", "note": note, "unit": "/s", "bars": bars, "columns": columns, "rows": cells}


def shown_ms(micros):
    """Milliseconds; never where a token never came."""
    return "never" if micros is None else f"{micros / 1000:.2f} ms"
