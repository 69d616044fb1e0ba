"""Runs in the virtual environment of the Helm tests: render or lint a chart with Helm 4's library.

Arguments: `render` or `lint`, and the chart. Values come as JSON on the standard input; the answer is JSON.
"""

import json
import sys

import helm_python  # type: ignore[import-not-found]  # (not in the environment of the project)


def main(action: str, chart: str) -> dict[str, object]:
    """What was rendered by file, or what lint says, or the error."""
    values = json.load(sys.stdin)
    try:
        if action == "lint":
            return {"version": helm_python.helm_sdk_version(), **helm_python.lint(chart, values, strict=True)}
        with helm_python.Chart.load(chart) as loaded:
            return {"files": loaded.render(values, name="rel", namespace="phones", is_install=True)}
    except helm_python.HelmError as error:
        return {"error": str(error)}


if __name__ == "__main__":
    json.dump(main(*sys.argv[1:]), sys.stdout)
