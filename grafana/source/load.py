"""Load & capacity: how much does it do, what does that cost, and how much more could it?"""

from .panels import BLUE, GREEN, RED, YELLOW, Query, bars, board, lines, mean, number, quantile, series, total

TOKENS, DURATION, HTTP = "jeton_token_requests_total", "jeton_token_request_duration_seconds", "jeton_http_requests_total"
ISSUED, ACCEPTED = 'outcome="issued"', 'event="accepted"'
CPU, STAGE = "process_cpu_seconds_total", "jeton_stage_duration_seconds"


def build():
    """The dashboard."""
    return board("jeton-load", "jeton / Load & capacity", (
        "For sizing, and to look at while a load test runs. A token's cost is the processor time of the whole server, "
        "whatever else it answered; the estimate of what is possible takes the load to stay as it is."
    ), [("Capacity", capacity()), ("Load and answers", load()), ("What a token costs", cost())])


def capacity():
    """Figures for sizing."""
    per_core = f"{total(TOKENS, ISSUED)} / ({total(CPU)} > 0)"
    workers = f"sum({series('jeton_workers')})"
    return [
        number("Tokens per second", "Over all servers.", total(TOKENS, ISSUED), "reqps", (GREEN,), decimals=1, width=6),
        number("Of one core", "Tokens per second of processor time: what a core could do if it did nothing else. It "
               "rises with the load, since busy workers share their wake-ups and signatures.", per_core, "reqps",
               (BLUE,), decimals=1, width=6),
        number("Possible with this load", "One core's tokens times the worker threads, if each had a core of its own.",
               f"{workers} * {per_core}", "reqps", (BLUE,), decimals=1, width=6),
        number("In use", "Processor time as a share of the worker threads. Above 70 % a spike has nowhere to go.",
               f"{total(CPU)} / {workers}", "percentunit", (GREEN, (0.7, YELLOW), (0.9, RED)), decimals=0, width=6),
    ]


def load():
    """What is asked and what is answered."""
    shed = total("jeton_requests_shed_total")
    return [
        lines("Asked, issued, shed", "Where the first two part, requests are refused or fail; where the third rises, this "
              "is the limit.",
              [Query(total(HTTP, 'endpoint="token"'), "asked"), Query(total(TOKENS, ISSUED), "issued"),
               Query(shed, "shed")], "reqps", colors={"asked": BLUE, "issued": GREEN, "shed": RED}),
        lines("Latency under this load", "As the server sees it: what waits in the network or in its sockets is not in "
              "here; the load generator sees that.",
              [Query(quantile(0.5, DURATION), "p50"), Query(quantile(0.99, DURATION), "p99"),
               Query(mean(DURATION), "mean")], "s", log=True, minimum=None,
              colors={"p50": GREEN, "p99": YELLOW, "mean": BLUE}),
        lines("By server", "Tokens per second of each. Uneven: connections are few and long, or one server is slower.",
              [Query(total(TOKENS, ISSUED, by="instance"), "{{instance}}")], "reqps"),
        lines("Requests per connection", "New connections cost as much as many requests: below ten, clients should keep "
              "theirs.",
              [Query(f"{total(HTTP)} / ({total('jeton_connection_events_total', ACCEPTED)} > 0)", "requests per connection")], "short", thresholds=(RED, (10, GREEN)), log=True, minimum=None),
    ]


def cost():
    """What it costs."""
    per_token = f"{total(CPU)} / ({total(TOKENS, ISSUED)} > 0)"
    memory = f"sum({series('process_resident_memory_bytes')})"
    stage = [Query(mean(STAGE, f'stage="{name}"'), name)
             for name in ("parse", "load", "authenticate", "authorize", "sign", "reply")]
    return [
        lines("Processor time per token", "All that the server did, divided by the tokens; at little load the share of "
              "waking up and of the follower is large.", [Query(per_token, "per token")], "s", width=8),
        bars("Stages", "Mean time of each stage now; what is missing to the whole is the socket and HTTP.", stage, "s",
             (BLUE,), width=8, maximum=0.0001),
        lines("Memory", "Resident, and how much that is for each client in memory.",
              [Query(memory, "resident"),
               Query(f"{memory} / (sum({series('jeton_client_cache_entries')}) > 0)", "per client in memory")], "bytes",
              width=8, log=True, minimum=None),
    ]
