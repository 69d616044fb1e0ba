"""Draws the dashboard's panels from what a Prometheus knows, where no Grafana is at hand. Needs matplotlib.

`python deploy/grafana/picture.py http://127.0.0.1:9090 15 dashboard.png` shows the last 15 minutes.
"""

import json
import re
import sys
import time
import urllib.parse
import urllib.request
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.dates import DateFormatter
from matplotlib.ticker import EngFormatter

BOARD = Path(__file__).with_name("dashboard.json")
COLUMNS, ROW_INCHES, WIDTH_INCHES, STEP_S = 24, 0.27, 14, 5
MARGINS_INCHES = (0.5, 0.12, 0.3, 0.3)
WORDS = {"$__rate_interval": "1m", "$__range": "15m", "$pbx": ".*"}
Series = list[tuple[str, list[datetime], list[float]]]


def ask(prometheus: str, query: str, legend: str, minutes: float) -> Series:
    """Name, times and values of each series of a query."""
    expression = re.sub(r"\$\w+", lambda found: WORDS[found.group()], query)
    end = time.time()
    asked = {"query": expression, "start": end - minutes * 60, "end": end, "step": STEP_S}
    url = f"{prometheus}/api/v1/query_range?{urllib.parse.urlencode(asked)}"
    with urllib.request.urlopen(url, timeout=30) as answer:  # noqa: S310  (the caller's own Prometheus)
        found = json.load(answer)["data"]["result"]
    return [
        (
            re.sub(r"\{\{(\w+)\}\}", lambda label, one=one: one["metric"].get(label.group(1), ""), legend),
            [datetime.fromtimestamp(float(at), UTC) for at, _ in one["values"]],
            [float(value) for _, value in one["values"]],
        )
        for one in found
    ]


def draw(axes: Axes, panel: dict[str, Any], series: Series) -> None:
    """One panel: numbers for people, or lines over time."""
    axes.set_title(panel["title"], fontsize=9, loc="left")
    if panel["type"] == "stat":
        axes.axis("off")
        text = " ".join(f"{name} {values[-1]:g}".strip() for name, _, values in series)
        axes.text(0.02, 0.4, text or "-", fontsize=15, color="tab:green")
        return
    for name, times, values in series:
        axes.plot(times, values, label=name or panel["title"], linewidth=1)
    axes.xaxis.set_major_formatter(DateFormatter("%H:%M"))
    axes.yaxis.set_major_formatter(EngFormatter())
    axes.tick_params(labelsize=7)
    axes.grid(alpha=0.3)
    if not series:
        axes.set_xticks([])
        axes.set_yticks([])
        axes.text(0.5, 0.5, "no data", ha="center", transform=axes.transAxes, color="gray")
    else:
        axes.legend(fontsize=6, loc="upper left", framealpha=0.6, ncols=4)
    if panel["type"] == "state-timeline":
        axes.set_ylim(-0.1, 1.3)
    elif series and panel["fieldConfig"]["defaults"].get("min") == 0:
        axes.set_ylim(bottom=0)


def place(at: dict[str, int], rows: int) -> tuple[float, float, float, float]:
    """Left, bottom, width and height of a panel's inside, as shares of the picture."""
    left, right, top, bottom = MARGINS_INCHES if at["h"] > 1 else (0.1, 0.1, 0.0, 0.0)
    cell = WIDTH_INCHES / COLUMNS
    height = rows * ROW_INCHES
    return (
        (at["x"] * cell + left) / WIDTH_INCHES,
        ((rows - at["y"] - at["h"]) * ROW_INCHES + bottom) / height,
        (at["w"] * cell - left - right) / WIDTH_INCHES,
        (at["h"] * ROW_INCHES - top - bottom) / height,
    )


def main(prometheus: str, minutes: str, picture: str) -> None:
    """Draw all panels at their places."""
    panels = json.loads(BOARD.read_text(encoding="utf-8"))["panels"]
    rows = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in panels)
    figure = plt.figure(figsize=(WIDTH_INCHES, rows * ROW_INCHES))
    for panel in panels:
        axes = figure.add_axes(place(panel["gridPos"], rows))
        if panel["type"] == "row":
            axes.axis("off")
            axes.text(0, 0.2, panel["title"], fontsize=11, weight="bold")
            continue
        series = [
            one
            for target in panel["targets"]
            for one in ask(prometheus, target["expr"], target["legendFormat"], float(minutes))
        ]
        draw(axes, panel, series)
    figure.savefig(picture, dpi=64)


if __name__ == "__main__":
    main(*sys.argv[1:])
