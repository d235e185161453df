"""The parts of a token that a reader wants to know of, and which of them each sample belongs to.

A sample counts with the innermost of its functions that a part knows. What works for anyone, as the copying of bytes or
the decoding of base64, is known to none, and counts with whoever asked for it. So it makes no difference what the
compiler put into what.
"""

import collections
import functools
import re
import typing


class Part(typing.NamedTuple):
    """What is known by a file and a function, with the same for what the part consists of."""

    name: str
    colour: str
    known: str
    pieces: tuple = ()


KERNEL = Part(
    "kernel: sockets, TCP, wake-ups",
    "#8a8f98",
    r"kernel ",
    (
        ("send", r"kernel \w*(sys|do)_(send|write)"),
        ("receive", r"kernel \w*(sys|do)_(recv|read)"),
        ("wait for events", r"kernel \w*(sys|do)_epoll"),
    ),
)
# The first that matches counts, so what is special stands above what is general.
JETON = [
    KERNEL,
    Part(
        "signature",
        "#c2410c",
        r"crates/ed25519-lanes/|src/jwt/(queue|turn)|src/keys/|zeroize/src/stack",
        (
            ("SHA-512", r"crates/ed25519-lanes/src/(sha512|message)"),
            ("multiplication of the base point", r"crates/ed25519-lanes/src/(table|digits|point)"),
            ("inversion and encoding", r"crates/ed25519-lanes/src/(inversion|encode)"),
            ("queue and key", r"src/"),
            ("wiping the stack", r"zeroize/src/stack"),
        ),
    ),
    Part(
        "clocks and metrics",
        "#be185d",
        r"src/(metrics/|clock|audit/|http/token\.rs .*\bnote\b)|std/src/(time|sys/time/|sys/pal/unix/time)|\[vdso\]",
    ),
    Part(
        "client found, secret compared",
        "#0f766e",
        r"src/(authenticator/|limiter|store/(cache|table|uses|unknown))|src/oauth/(secret|client\.rs|grant|scope|audience)",
        (
            ("digest of the secret", r"(sha2|hmac)/|src/oauth/secret\.rs .*\bhash\b"),
            ("comparison of digests", r"src/oauth/secret"),
            ("look-up", r"src/store/"),
        ),
    ),
    Part(
        "request read and parsed",
        "#1d4ed8",
        r"httparse/|src/http/(express/request|form_post|body|host|token)|src/oauth/(form|request|client_auth|param|sextets)",
    ),
    Part(
        "token and reply written",
        "#7c3aed",
        r"src/(issuer|buffers|jwt/)|src/oauth/(response|algorithm|opaque)|src/http/(express/head|reply)",
    ),
    Part("event loop and connection", "#b45309", r"(tokio|mio|hyper|hyper-util|h2)/|src/http/|src/app/mod"),
    Part("everything else", "#cbd5e1", r"src/|libsqlite3-sys/|rusqlite/"),
]
NGINX = [KERNEL, Part("nginx itself", "#334155", r"")]


def spent(samples, parts, nanos):
    """Nanoseconds of a reply, which took so many, for each part and for each of its pieces."""
    share, found = nanos / samples.total(), collections.Counter()
    for frames, number in samples.items():
        part = next((part for frame in frames for part in parts if is_of(frame, part.known)), parts[-1])
        piece = next((name for frame in frames for name, known in part.pieces if is_of(frame, known)), None)
        found[part.name, piece] += number * share
    table = {}
    for part in parts:
        pieces = {name: round(found[part.name, name]) for name, _ in part.pieces}
        whole = sum(taken for (name, _), taken in found.items() if name == part.name)
        table[part.name] = {"ns": round(whole), "pieces": pieces}
    return table


@functools.cache
def is_of(frame, known):
    return re.match(known, f"{frame.file} {frame.function}") is not None


# Instructions of the vector lanes, as functions: who asked for them tells more.
INSTRUCTIONS = "crates/ed25519-lanes/src/ifma.rs"


def by_line(samples, nanos):
    """Nanoseconds of a reply for each line of ours, with what it asks of others but the kernel; the hottest first.

    A processor is interrupted where it waits or just behind that, so a line may have what the one before it waited for.
    """
    share, lines = nanos / samples.total(), collections.Counter()
    for frames, number in samples.items():
        line = next((frame for frame in frames if is_ours(frame)), None)
        if line and not is_of(frames[0], KERNEL.known):
            lines[line.file, line.line] += number * share
    return lines.most_common()


def is_ours(frame):
    return frame.line > 0 and frame.file.startswith(("src/", "crates/")) and frame.file != INSTRUCTIONS
