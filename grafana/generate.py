#!/usr/bin/env python3
"""Writes the dashboards from their source, or says whether the committed ones are what it would write.

    python grafana/generate.py            writes grafana/dashboards/*.json
    python grafana/generate.py --check    ends with 1 when one of them differs

Needs grafana-foundation-sdk in the version that tests/interop/requirements.txt names.
"""

import json
import pathlib
import sys

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from source import internals, keys, load, overview

FOLDER = pathlib.Path(__file__).resolve().parent / "dashboards"


def rendered():
    """File names and texts."""
    for source in (overview, internals, keys, load):
        board = source.build()
        dashboard = json.loads(JSONEncoder(sort_keys=True).encode(board))
        for variable in dashboard["templating"]["list"]:
            # Of intervals only; the SDK gives it to all.
            for member in ("auto", "auto_count", "auto_min"):
                variable.pop(member, None)
        yield f"{board.uid}.json", json.dumps(dashboard, indent=2, ensure_ascii=False) + "\n"


def main():
    """Writes or compares."""
    boards = dict(rendered())
    if sys.argv[1:] == ["--check"]:
        found = {path.name: path.read_text() for path in FOLDER.glob("*.json")}
        wrong = sorted(name for name in boards.keys() | found.keys() if boards.get(name) != found.get(name))
        if wrong:
            sys.exit(f"not what grafana/generate.py writes: {', '.join(wrong)}; run it and commit the result")
        return
    FOLDER.mkdir(exist_ok=True)
    for name, text in boards.items():
        (FOLDER / name).write_text(text)


main()
