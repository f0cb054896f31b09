"""What was counted as bars, a panel for each count, in any form that matplotlib writes."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from pagerace.report.compare import PANELS, Comparison
from pagerace.report.replayed import HEADLINES, Replayed, flat

PANEL: Final = (3.2, 2.6)  # inches
BAR: Final = 0.35  # a bar with what stands below it
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


@dataclass(frozen=True)
class Panel:
    """One count: a bar and its label for each of what is compared."""

    title: str
    values: Sequence[float]
    labels: Sequence[str]


def save(replayed: Replayed, path: str) -> None:
    """The headlines of a replay; the ending of ``path`` says the form.  Raises CannotPlot."""
    counts = [flat(column.counts) for column in replayed.columns]
    names = [
        "\n".join(f"{name}={value}" for name, value in column.options.items())
        for column in replayed.columns
    ]
    panels: list[Panel] = []
    for row in HEADLINES:
        values = [row.of(c) or 0.0 for c in counts]
        panels.append(Panel(row.name.strip(), values, [row.show(value) for value in values]))
    draw(names, panels, ", ".join(replayed.traces), path)


def save_comparison(comparison: Comparison, path: str) -> None:
    """What variants cost.  Raises CannotPlot."""
    names = [
        variant.name + (f"\n{variant.verdict}" if variant.verdict else "")
        for variant in comparison.variants
    ]
    panels: list[Panel] = []
    for title, value in PANELS:
        values = [value(variant) for variant in comparison.variants]
        labels = ["-" if v is None else f"{v:,.3g}" if v < 100 else f"{v:,.0f}" for v in values]
        panels.append(Panel(title, [v or 0.0 for v in values], labels))
    draw(names, panels, ", ".join(comparison.traces), path)


def draw(names: Sequence[str], panels: Sequence[Panel], title: str, path: str) -> None:
    """Draw all panels that have a bar, and write them.  Raises CannotPlot."""
    try:
        matplotlib = importlib.import_module("matplotlib")
        matplotlib.use("Agg")
        plt = importlib.import_module("matplotlib.pyplot")
    except ImportError as error:
        raise CannotPlot(f"matplotlib cannot be loaded: {error}") from None
    figure = _figure(plt, names, [panel for panel in panels if any(panel.values)], title)
    try:
        figure.savefig(path, bbox_inches="tight")
    except (OSError, ValueError) as error:
        raise CannotPlot(f"{path}: {getattr(error, 'strerror', None) or error}") from None
    finally:
        plt.close(figure)


def _figure(plt: Any, names: Sequence[str], panels: Sequence[Panel], title: str) -> Any:
    across = min(PANELS_BESIDE, max(1, len(panels)))
    down = max(1, -(-len(panels) // across))
    wide = max(PANEL[0], BAR * len(names))
    figure, axes = plt.subplots(
        down, across, figsize=(wide * across, PANEL[1] * down), squeeze=False
    )
    places = list(axes.flat)
    for place, panel in zip(places, panels, strict=False):
        bars = place.bar(range(len(names)), panel.values, color="0.4")
        place.bar_label(bars, panel.labels, fontsize=7 if len(names) < 8 else 5)
        place.set_title(panel.title, fontsize=9)
        place.set_xticks(range(len(names)), names, fontsize=6, rotation=20, ha="right")
        place.set_ylim(bottom=0)
        place.spines[["top", "right"]].set_visible(False)
    for place in places[len(panels) :]:
        place.set_visible(False)
    figure.suptitle(title, fontsize=9)
    figure.tight_layout()
    return figure
