"""Overview & SLO: is it well, and does it keep its promises?"""

from .panels import (
    BLUE, GREEN, RED, YELLOW, Query, board, grid, lines, number, quantile, series, total, warmth, words,
)

TOKENS, DURATION = "jeton_token_requests_total", "jeton_token_request_duration_seconds"
# Ours to mend; every other refusal is the client's.
FAILED = 'outcome=~"server_error|temporarily_unavailable"'
REFUSED = 'outcome!~"issued|server_error|temporarily_unavailable"'
PROMPT = 'le="0.005"'
# 99.9 % of requests without a fault of ours.
BUDGET = 0.001


def failures(window):
    """The share of token requests that failed for a fault of ours; none where there were none."""
    failed, asked = total(TOKENS, FAILED, window=window), total(TOKENS, window=window)
    return f"{failed} / ({asked} > 0)"


def build():
    """The dashboard."""
    return board("jeton-overview", "jeton / Overview & SLO", (
        "Start here. The first row says whether tokens are being issued now, the second whether the promises are kept: "
        "99.9 % of token requests without a fault of ours, 99 % of them within 5 ms."
    ), [("Now", now()), ("Service level", service_level()), ("Requests", requests()), ("What runs", what_runs())])


def now():
    """The first row."""
    ready = words(v0="ready", v1="NOT READY")
    return [
        number("Servers up", "Servers that Prometheus can scrape. None at all: nobody gets a token.",
               f"sum({series('up')})", "short", (RED, (1, GREEN)), decimals=0, graph=False),
        number("Readiness", "NOT READY as soon as any server says so at readyz: see Internals & saturation for the reason.",
               f"max({series('jeton_not_ready')})", "short", (GREEN, (1, RED)), mappings=ready, graph=False),
        number("Tokens issued", "Tokens per second, over all servers. Zero while clients ask is an outage.",
               total(TOKENS, 'outcome="issued"'), "reqps", (RED, (0.001, GREEN)), decimals=1),
        number("Availability", "Share of token requests in the shown time without a fault of ours. The promise is 99.9 %.",
               f"1 - {failures('$__range')}", "percentunit", (RED, (1 - BUDGET, YELLOW), (1 - BUDGET / 2, GREEN)),
               decimals=3, graph=False),
        number("Error budget left", "What is left of the faults that the promise allows in the shown time. Below zero the "
               "promise is broken: releases wait.", f"1 - {failures('$__range')} / {BUDGET}", "percentunit",
               (RED, (0, YELLOW), (0.5, GREEN)), decimals=1, graph=False),
        number("p99 latency", "99 of 100 token requests were answered within this. The promise is 5 ms.",
               quantile(0.99, DURATION), "s", (GREEN, (0.0025, YELLOW), (0.005, RED)), decimals=2),
    ]


def service_level():
    """The second row."""
    percentiles = [Query(quantile(share, DURATION), name)
                   for share, name in ((0.5, "p50"), (0.95, "p95"), (0.99, "p99"), (0.999, "p99.9"))]
    burn = [Query(f"{failures(window)} / {BUDGET}", f"over {window}") for window in ("5m", "1h", "6h")]
    return [
        lines("Latency", "From a whole request head to the reply. A failed authentication takes 2 ms on purpose; whoever "
              "sends its body slowly shows in p99.9.", percentiles, "s", thresholds=(GREEN, (0.005, RED)), log=True,
              minimum=None, colors={"p50": GREEN, "p95": BLUE, "p99": YELLOW, "p99.9": RED}),
        warmth("Latency, every request", "How many requests took how long. A second band above the first is a queue, or "
               "the 2 ms of failed authentications.", DURATION),
        lines("Error budget burn", "How many times too fast the error budget is used up: 1 uses it up exactly. The pager "
              "goes at 14.4 over an hour, or 6 over six hours.", burn, "short",
              thresholds=(GREEN, (1, YELLOW), (14.4, RED))),
        lines("Slower than promised", "Share of token requests that took longer than 5 ms; 1 % are allowed.", [
            Query(f"1 - {total(DURATION + '_bucket', PROMPT)} / ({total(DURATION + '_count')} > 0)", "slower than 5 ms")], "percentunit", thresholds=(GREEN, (0.01, RED))),
    ]


def requests():
    """The third row."""
    kinds = [Query(total(TOKENS, 'outcome="issued"'), "issued"), Query(total(TOKENS, REFUSED), "refused"),
             Query(total(TOKENS, FAILED), "failed")]
    return [
        lines("Token requests", "Issued; refused, for what the client did; failed, for what we did.", kinds, "reqps",
              colors={"issued": GREEN, "refused": YELLOW, "failed": RED}),
        lines("Refusals by reason", "The error code that was answered. invalid_client: authentication; slow_down: too many "
              "wrong secrets; temporarily_unavailable: overload, the store, or a key.",
              [Query(total(TOKENS, 'outcome!="issued"', by="outcome") + " > 0", "{{outcome}}")], "reqps", stack=True,
              colors={"temporarily_unavailable": RED, "server_error": "dark-red"}),
        lines("By endpoint", "Everything that the public listener answered.",
              [Query(total("jeton_http_requests_total", by="endpoint"), "{{endpoint}}")], "reqps", width=8),
        lines("By status", "The status of each reply; none: whoever asked had gone before it.",
              [Query(total("jeton_http_requests_total", by="status"), "{{status}}")], "reqps", width=8),
        lines("How clients authenticate", "Clients that came in, by method.",
              [Query(total("jeton_client_authentications_total", by="method"), "{{method}}")], "reqps", width=8),
    ]


def what_runs():
    """The last row."""
    uptime = f"time() - {series('process_start_time_seconds')}"
    return [
        grid("Builds", "Which build each server runs. More than one version: a roll-out is under way, or got stuck.",
             Query(series("jeton_build_info")), {"instance": "server", "version": "version", "commit": "commit"}),
        grid("Set up as", "What each server was told, and how long it has been running.",
             Query(f"({uptime}) * on (job, instance) group_right {series('jeton_config_info')}"),
             {"instance": "server", "store": "store", "audit": "audit log", "audit_when_full": "when it is full",
              "Value": "up for"}, unit="s"),
    ]
