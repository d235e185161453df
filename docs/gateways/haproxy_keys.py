#!/usr/bin/env python3
"""Writes the ES256 keys of a JWKS as the PEM files that haproxy.cfg names, and reloads HAProxy when they changed.

    haproxy_keys.py SOURCE FOLDER [COMMAND…]

SOURCE is the URL of the JWKS, or - for what stands on standard input, as `jeton key export` prints it. COMMAND is run
when a file changed. Needs nothing but Python. Exit code 1 and a line on standard error when the keys could not be had:
the files are as they were then.
"""

import base64
import json
import os
import subprocess
import sys
import urllib.request

# In a rotation there are up to three: the next key, the one that signs, and the one before while its tokens last.
SLOTS = 3
# The constant head of every public key on P-256 in DER (RFC 5480 §2), up to the coordinates.
HEAD = bytes.fromhex("3059301306072a8648ce3d020106082a8648ce3d03010703420004")


def load(source):
    if source == "-":
        return json.load(sys.stdin)
    with urllib.request.urlopen(source, timeout=10) as answer:
        return json.load(answer)


def coordinate(text):
    number = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    if len(number) != 32:
        raise ValueError("a coordinate of a P-256 key has 32 bytes")
    return number


def encode(key):
    der = HEAD + coordinate(key["x"]) + coordinate(key["y"])
    text = base64.b64encode(der).decode()
    lines = "\n".join(text[start : start + 64] for start in range(0, len(text), 64))
    return f"-----BEGIN PUBLIC KEY-----\n{lines}\n-----END PUBLIC KEY-----\n"


def put(path, text):
    """Replaces a file as a whole; true when it was another."""
    if os.path.exists(path) and open(path).read() == text:
        return False
    with open(path + ".new", "w") as file:
        file.write(text)
    os.replace(path + ".new", path)
    return True


def main(source, folder, *command):
    keys = [encode(key) for key in load(source)["keys"] if key.get("alg") == "ES256" and key.get("crv") == "P-256"]
    if not 1 <= len(keys) <= SLOTS:
        raise ValueError(f"{len(keys)} ES256 keys are published; haproxy.cfg has room for 1 to {SLOTS}")
    # HAProxy wants every file to be there: with fewer keys the last one stands in more than one.
    keys += keys[-1:] * (SLOTS - len(keys))
    # There until COMMAND succeeds, so that the next run tries again after one that did not.
    due = os.path.join(folder, "reload-is-due")
    changed = [put(os.path.join(folder, f"es256-{slot}.pem"), key) for slot, key in enumerate(keys, 1)]
    if command and (any(changed) or os.path.exists(due)):
        put(due, "")
        subprocess.run(command, check=True)
        os.remove(due)


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except (OSError, ValueError, KeyError, TypeError, subprocess.CalledProcessError) as error:
        sys.exit(f"haproxy_keys.py: {error}")
