"""Keys & security: who signs, who gets in, who tries?"""

from .panels import BLUE, GREEN, RED, YELLOW, Query, board, lines, number, series, total, words

KEY, FAILURES, HTTP = "jeton_signing_key", "jeton_authentication_failures_total", "jeton_http_requests_total"
ACTIVE = 'state="active"'
DAY = 86400


def build():
    """The dashboard."""
    return board("jeton-keys", "jeton / Keys & security", (
        "Signing keys and their rotation, authentication and who fails at it, introspection and revocation, and the clock "
        "that all of it depends on."
    ), [("Signing keys", keys()), ("Authentication", authentication()), ("Tokens after they were issued", tokens()),
        ("Clock and abuse", clock())])


def keys():
    """Keys."""
    overdue = f"min by (alg) ({series(f'{KEY}_next_rotation_seconds')})"
    return [
        number("Age of the key", "How long the key that signs has done so, by algorithm.",
               f"max by (alg) ({series(f'{KEY}_age_seconds')})", "s", (GREEN,), legend="{{alg}}", graph=False, width=6),
        number("Next rotation in", "Until another key takes over. Red: overdue, the server could not publish a successor "
               "in time; see its log.", overdue, "s", (RED, (0, YELLOW), (DAY, GREEN)), legend="{{alg}}", graph=False,
               width=6),
        number("Last rotation", "When the newest key was published.",
               f"1000 * max by (alg) ({series(f'{KEY}_last_rotation_timestamp_seconds')})", "dateTimeFromNow", (BLUE,),
               legend="{{alg}}", graph=False, width=6),
        number("Keys that sign", "One for each algorithm that clients use. Zero: nothing can be signed by it.",
               f"min by (alg) ({series('jeton_signing_keys', ACTIVE)})", "short", (RED, (1, GREEN)),
               legend="{{alg}}", graph=False, width=6),
        lines("Keys in the JWKS", "published: waits for every verifier to have fetched it; active: signs; retired: stays "
              "until its last token has expired.",
              [Query(f"max by (alg, state) ({series('jeton_signing_keys')})", "{{alg}} {{state}}")], "short", width=8),
        lines("Signatures", "By algorithm. RSA is ten to twenty times as expensive.",
              [Query(total("jeton_signatures_total", by="alg"), "{{alg}}")], "ops", width=5),
        lines("How EdDSA is signed", "Servers by the code that they sign with. lanes: vector instructions; switched_off: "
              "by keys.vector_signing; unsupported: the processor has none; self_test_failed, fault_found: it computes "
              "wrongly with them, do not trust that machine.",
              [Query(f"sum by (path) ({series('jeton_eddsa_path')}) > 0", "{{path}}")], "short", width=5,
              colors={"lanes": GREEN, "self_test_failed": RED, "fault_found": RED}),
        lines("Fetches of the JWKS and metadata", "Verifiers that fetch it for every token, rather than for every "
              "max-age, show here; 304: they had it.",
              [Query(total(HTTP, 'endpoint=~"jwks|metadata"', by="endpoint, status"), "{{endpoint}} {{status}}")],
              "reqps", width=6),
    ]


def authentication():
    """Who gets in."""
    failed, came_in = total(FAILURES), total("jeton_client_authentications_total")
    return [
        lines("Failed authentications", "By the reason that the client is never told. unknown_client: scanning; "
              "wrong_secret: guessing, or a rotation gone wrong; expired_secret: a deployment was forgotten; "
              "disabled_client: it has not heard yet; wrong_key, refused_assertion: the same of clients that sign; "
              "replayed_assertion: one that was used before.",
              [Query(total(FAILURES, by="reason") + " > 0", "{{reason}}")], "reqps", stack=True),
        lines("Share that fails", "Of all authentications at any endpoint. Its usual level is yours to know; a jump is a "
              "rotation gone wrong or an attack.", [Query(f"{failed} / (({failed} + {came_in}) > 0)", "failed")],
              "percentunit", maximum=1.0, thresholds=(GREEN, (0.2, YELLOW), (0.5, RED))),
        lines("Throttled", "Requests of sources that used up their failures, answered 429. Right secrets of clients in "
              "memory are served all the same.",
              [Query(total(FAILURES, 'reason="throttled"'), "throttled"),
               Query(total(HTTP, 'status="429"', by="endpoint"), "429 at {{endpoint}}")], "reqps"),
        lines("Methods", "How clients that came in proved who they are.",
              [Query(total("jeton_client_authentications_total", by="method"), "{{method}}")], "reqps"),
    ]


def tokens():
    """Introspection and revocation."""
    return [
        lines("Introspections", "What resource servers were told. Mostly inactive: somebody presents old, revoked or "
              "foreign tokens.", [Query(total("jeton_introspections_total", by="result"), "{{result}}")], "reqps",
              width=8, colors={"active": GREEN, "inactive": YELLOW}),
        lines("Revocations", "Tokens cut off by their clients; unknown: no token of ours, or over already.",
              [Query(total("jeton_revocations_total", by="result"), "{{result}}")], "reqps", width=8),
        lines("Revocations held", "Revoked tokens that have not expired, by server. All servers agree within a second.",
              [Query(f"max by (instance) ({series('jeton_revocations_held')})", "{{instance}}")], "short", width=8),
    ]


def clock():
    """The clock and abuse."""
    skew = f"{series('jeton_clock_seconds')} - timestamp({series('jeton_clock_seconds')})"
    return [
        lines("Clock against Prometheus", "Tokens are stamped by this clock. Beyond a minute verifiers refuse them. It "
              "counts whole seconds, so up to one below zero is nothing.",
              [Query(f"max by (instance) ({skew})", "{{instance}}")], "s", minimum=None, width=8,
              thresholds=(RED, (-30, GREEN), (30, RED))),
        number("Clock", "JUMPED: within the last hour. No key is planned until it has been steady for an hour.",
               f"min({series('jeton_clock_steady')})", "short", (RED, (1, GREEN)),
               mappings=words(v0="JUMPED", v1="steady"), graph=False, width=8, height=8),
        lines("What is no request", "Malformed heads, and requests for paths that lead nowhere: scanners.",
              [Query(total("jeton_connection_events_total", 'event="malformed"'), "malformed"),
               Query(total(HTTP, 'endpoint="other"'), "nowhere")], "reqps", width=8),
    ]
