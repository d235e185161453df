#!/usr/bin/env python3
"""Writes the dashboards from their source and the rules as the Prometheus operator takes them, or says whether the
committed ones are what it would write.

    python grafana/generate.py            writes grafana/dashboards/*.json, packaging/kubernetes/monitoring/rules.yaml
    python grafana/generate.py --check    ends with 1 when one of them differs

Needs grafana-foundation-sdk in the version that tests/interop/requirements.txt names.
"""

import json
import pathlib
import sys

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from source import internals, keys, load, overview

PROJECT = pathlib.Path(__file__).resolve().parent.parent
DASHBOARDS = PROJECT / "grafana/dashboards"
OPERATOR_RULES = PROJECT / "packaging/kubernetes/monitoring/rules.yaml"
OPERATOR_HEAD = """\
# Written by grafana/generate.py from grafana/prometheus/rules.
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: jeton
  labels:
    app.kubernetes.io/name: jeton
spec:
  groups:
"""


def operator_rules():
    """The groups of all files, as they are written there."""
    text = OPERATOR_HEAD
    for path in sorted((PROJECT / "grafana/prometheus/rules").glob("*.yml")):
        _, groups = path.read_text().split("\ngroups:\n")
        text += "".join(f"  {line}" if line.strip() else line for line in groups.splitlines(keepends=True))
    return text


def rendered():
    """Paths and texts."""
    yield OPERATOR_RULES, operator_rules()
    for source in (overview, internals, keys, load):
        board = source.build()
        dashboard = json.loads(JSONEncoder(sort_keys=True).encode(board))
        for variable in dashboard["templating"]["list"]:
            # Of intervals only; the SDK gives it to all.
            for member in ("auto", "auto_count", "auto_min"):
                variable.pop(member, None)
        yield DASHBOARDS / f"{board.uid}.json", json.dumps(dashboard, indent=2, ensure_ascii=False) + "\n"


def main():
    """Writes or compares."""
    files = dict(rendered())
    if sys.argv[1:] == ["--check"]:
        found = {path: path.read_text() for path in [*DASHBOARDS.glob("*.json"), OPERATOR_RULES] if path.exists()}
        wrong = sorted(path.name for path in files.keys() | found.keys() if files.get(path) != found.get(path))
        if wrong:
            sys.exit(f"not what grafana/generate.py writes: {', '.join(wrong)}; run it and commit the result")
        return
    for path, text in files.items():
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)


main()
