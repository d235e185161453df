"""Internals & saturation: what is it busy with, and what will run out first?"""

from .panels import GREEN, RED, YELLOW, Query, bars, board, lines, mean, number, quantile, series, total, words

STAGE, OPERATION = "jeton_stage_duration_seconds", "jeton_store_operation_duration_seconds"
CACHE = "jeton_client_cache_total"


def share(used, most):
    """The fullest of all servers."""
    return f"max({series(used)} / {series(most)})"


def build():
    """The dashboard."""
    return board("jeton-internals", "jeton / Internals & saturation", (
        "Where the time goes and what is nearly full. The bars at the top are shares of hard limits: what reaches the end "
        "of its bar is refused."
    ), [("Headroom", headroom()), ("Queues", queues()), ("Stages of a token", stages()), ("Store", store()),
        ("Client cache", cache()), ("Process and connections", process()), ("Audit log", audit())])


def headroom():
    """Shares of limits."""
    cpu = f"max({total('process_cpu_seconds_total', by='job, instance')} / on (job, instance) {series('jeton_workers')})"
    limits = [
        Query(cpu, "processor"),
        Query(share("jeton_requests_in_flight", "jeton_requests_in_flight_limit"), "requests in flight"),
        Query(share("jeton_connections", "jeton_connections_limit"), "connections"),
        Query(share("process_open_fds", "process_max_fds"), "open files"),
        Query(share("jeton_client_cache_entries", "jeton_client_cache_limit"), "clients in memory"),
        Query(share("jeton_signing_line_length", "jeton_signing_line_limit"), "RSA signatures"),
        Query(share("jeton_audit_queue_bytes", "jeton_audit_queue_limit_bytes"), "audit log"),
    ]
    reasons = f"max by (reason) ({series('jeton_not_ready')})"
    return [
        bars("How full it is", "The fullest server, as a share of each limit. Yellow: plan; red: what comes next is refused.",
             limits, "percentunit", (GREEN, (0.7, YELLOW), (0.9, RED))),
        lines("Reasons not to be ready", "A line at 1 is a reason why readyz says no: draining; the store gone for longer "
              "than the grace; damage found in it; no key that signs.", [Query(reasons, "{{reason}}")], "short",
              maximum=1.0, width=12),
    ]


def queues():
    """What waits."""
    waits = "jeton_run_queue_wait_seconds"
    return [
        lines("Waiting to be looked at", "How long a request waits in its worker's queue (the lag of the event loop). "
              "Beyond 50 ms requests are refused early.",
              [Query(quantile(0.5, waits), "p50"), Query(quantile(0.99, waits), "p99")], "s",
              thresholds=(GREEN, (0.025, YELLOW), (0.05, RED)), colors={"p50": GREEN, "p99": YELLOW}, width=8),
        lines("In flight", "Requests that are begun, and those whose body is still on its way: many of the latter are slow "
              "clients, or an attack by such.",
              [Query(f"sum({series('jeton_requests_in_flight')})", "begun"),
               Query(f"sum({series('jeton_bodies_awaited')})", "body awaited"),
               Query(f"sum({series('jeton_signing_line_length')})", "RSA signatures"),
               Query(f"sum({series('jeton_store_operations_in_flight')})", "store operations")], "short", width=8),
        lines("Shed", "Requests refused early with 503, so that others are answered in time. run_queue: the core is busy; "
              "in_flight: too many at once; signing_line: too many RSA clients; audit_full: the audit log is stuck.",
              [Query(total("jeton_requests_shed_total", by="reason"), "{{reason}}")], "reqps", stack=True, width=8),
    ]


def stages():
    """Where the time of a token goes."""
    batches = "jeton_sign_batch_size"
    return [
        lines("Mean time by stage", "What one token costs, stage by stage; one request in 16 is timed. load grows when "
              "clients are not in memory, sign when signatures wait.",
              [Query(mean(STAGE, by="stage"), "{{stage}}")], "s", stack=True),
        lines("p99 by stage", "The slow ones. A stage without waiting takes microseconds.",
              [Query(quantile(0.99, STAGE, by="stage"), "{{stage}}")], "s", log=True, minimum=None),
        lines("Signed together", "How many signatures a worker makes at once: 1 at little load, more when it is busy, which "
              "makes each of them cheaper.",
              [Query(mean(batches), "mean"), Query(quantile(0.99, batches), "p99")], "short"),
        lines("Waiting for a signature", "Requests that have everything but their signature, by server. More than a hundred "
              "for longer than a moment: the core is full.",
              [Query(f"sum by (instance) ({series('jeton_sign_queue_length')})", "{{instance}}")], "short"),
    ]


def store():
    """The store."""
    up = words(v0="DOWN", v1="up")
    return [
        number("Store answers", "DOWN: known clients go on for store.outage_grace, everything else is 503.",
               f"min({series('jeton_store_up')})", "short", (RED, (1, GREEN)), mappings=up, graph=False, width=4, height=8),
        lines("Errors of the store", "By kind. full and io: the disk; busy and deadline: something else holds it; corrupt "
              "and unusable: stop and look; conflict: two commands at once, harmless.",
              [Query(total("jeton_store_errors_total", by="kind"), "{{kind}}")], "reqps", width=10),
        lines("Operations", "What is asked of the store. news_since is the follower, a few times "
              "a second; find_client are clients not in memory, and failed authentications.",
              [Query(total(f"{OPERATION}_count", by="operation") + " > 0", "{{operation}}")], "ops", width=10),
        lines("p99 by operation", "How long the store takes to answer. Writes wait for the disk.",
              [Query(quantile(0.99, OPERATION, by="operation") + " > 0", "{{operation}}")], "s", log=True, minimum=None,
              width=16),
        lines("Age of what memory serves", "Since the store last answered. Below a second while all is well; at "
              "store.outage_grace known clients are refused, too.",
              [Query(f"max by (instance) ({series('jeton_store_age_seconds')})", "{{instance}}")], "s", width=8),
    ]


def cache():
    """The clients in memory."""
    hits = total(CACHE, 'result="hit"') + f" / ({total(CACHE)} > 0)"
    return [
        lines("Hit ratio", "Requests answered without asking the store for the client. It falls after a restart, and while "
              "someone tries wrong secrets.", [Query(hits, "hits")], "percentunit", maximum=1.0,
              thresholds=(RED, (0.9, GREEN))),
        lines("Clients in memory", "Beyond the limit those that were not used for longest go.",
              [Query(f"sum by (instance) ({series('jeton_client_cache_entries')})", "{{instance}}")], "short"),
    ]


def process():
    """The process."""
    return [
        lines("Processor", "Cores in use; a server can use as many as it has workers.",
              [Query(total("process_cpu_seconds_total", by="instance"), "{{instance}}"),
               Query(f"sum by (instance) ({series('jeton_workers')})", "{{instance}}, at most")], "short", width=8),
        lines("Memory", "Resident, beside what the address space holds.",
              [Query(f"sum by (instance) ({series('process_resident_memory_bytes')})", "{{instance}}"),
               Query(f"sum by (instance) ({series('process_virtual_memory_bytes')})", "{{instance}}, virtual")],
              "bytes", width=8, log=True, minimum=None),
        lines("Threads and files", "Threads are constant once it runs; files follow the connections.",
              [Query(f"sum({series('process_threads')})", "threads"),
               Query(f"sum({series('process_open_fds')})", "open files")], "short", width=8),
        lines("Open connections", "By server. Very uneven: long connections and few clients.",
              [Query(f"sum by (instance) ({series('jeton_connections')})", "{{instance}}")], "short"),
        lines("Connection events", "accepted, many for few requests: clients do not keep connections. refused: beyond the "
              "cap; failed: out of files; cut: late or idle; malformed: no request.",
              [Query(total("jeton_connection_events_total", by="event"), "{{event}}")], "cps"),
    ]


def audit():
    """The audit log."""
    return [
        number("Audit log written", "DOWN: it cannot be written. Events are dropped or held back, as audit.when_full says.",
               f"min({series('jeton_audit_up')})", "short", (RED, (1, GREEN)),
               mappings=words(v0="DOWN", v1="written"), graph=False, width=4, height=8),
        lines("Waiting to be written", "Emptied fifty times a second; what stays is a slow or full disk.",
              [Query(f"sum by (instance) ({series('jeton_audit_queue_bytes')})", "{{instance}}")], "bytes", width=10),
        lines("Dropped events", "Each is a gap in the audit log.",
              [Query(total("jeton_audit_dropped_total", by="instance"), "{{instance}}")], "reqps", width=10,
              thresholds=(GREEN, (0.001, RED))),
    ]
