"""The headlines of a replay as bars, a panel for each, in any form that matplotlib writes."""

from __future__ import annotations

import importlib
import importlib.util
from typing import Any, Final

from pagerace.report.replayed import HEADLINES, Replayed, flat

PANEL: Final = (3.2, 2.6)  # inches
PANELS_BESIDE: Final = 4
ENDINGS: Final = (".png", ".svg", ".pdf")


class CannotPlot(Exception):
    """Why there is no plot."""


def problem(path: str) -> str:
    """Why nothing can be drawn to ``path``, as far as can be told before; "" if it can."""
    if not path.endswith(ENDINGS):
        return f"{path}: not a name that ends in {', '.join(ENDINGS)}"
    try:
        found = importlib.util.find_spec("matplotlib")
    except ValueError:
        found = None
    return "" if found else "matplotlib is not installed (pip install 'pagerace[plot]')"


def save(replayed: Replayed, path: str) -> None:
    """Draw and write it; the ending of ``path`` says the form.  Raises CannotPlot."""
    try:
        matplotlib = importlib.import_module("matplotlib")
        matplotlib.use("Agg")
        plt = importlib.import_module("matplotlib.pyplot")
    except ImportError as error:
        raise CannotPlot(f"matplotlib cannot be loaded: {error}") from None
    figure = _draw(plt, replayed)
    try:
        figure.savefig(path, bbox_inches="tight")
    except (OSError, ValueError) as error:
        raise CannotPlot(f"{path}: {getattr(error, 'strerror', None) or error}") from None
    finally:
        plt.close(figure)


def _draw(plt: Any, replayed: Replayed) -> Any:
    counts = [flat(column.counts) for column in replayed.columns]
    names = [
        "\n".join(f"{name}={value}" for name, value in column.options.items())
        for column in replayed.columns
    ]
    panels = [(row, [row.of(c) or 0.0 for c in counts]) for row in HEADLINES]
    panels = [(row, values) for row, values in panels if any(values)]
    across = min(PANELS_BESIDE, max(1, len(panels)))
    down = max(1, -(-len(panels) // across))
    figure, axes = plt.subplots(
        down, across, figsize=(PANEL[0] * across, PANEL[1] * down), squeeze=False
    )
    places = list(axes.flat)
    for place, (row, values) in zip(places, panels, strict=False):
        bars = place.bar(range(len(values)), values, color="0.4")
        place.bar_label(bars, [row.show(value) for value in values], fontsize=7)
        place.set_title(row.name.strip(), fontsize=9)
        place.set_xticks(range(len(values)), names, fontsize=6, rotation=20, ha="right")
        place.set_ylim(bottom=0)
        place.spines[["top", "right"]].set_visible(False)
    for place in places[len(panels) :]:
        place.set_visible(False)
    figure.suptitle(", ".join(replayed.traces), fontsize=9)
    figure.tight_layout()
    return figure
