"""``python -m tests.deploy.helm``: renders or lints a chart as standard input says, in JSON."""

from __future__ import annotations

import json
import sys

import helm_python


def main() -> None:
    """Answer on standard output."""
    asked = json.load(sys.stdin)
    answer: object
    if asked.get("lint"):
        answer = helm_python.lint(asked["chart"], asked["values"], strict=True)
    else:
        chart = helm_python.Chart.load(asked["chart"])
        try:
            chart.validate_schema(asked["values"])
            answer = {"manifests": chart.render(asked["values"], name="db", namespace="accode")}
        except helm_python.HelmError as error:
            answer = {"error": str(error)}
    json.dump(answer, sys.stdout)


if __name__ == "__main__":
    main()
