"""The store of known failures that a command line asks for."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from pagerace.cli.errors import UsageError
from pagerace.cli.terminal import Terminal
from pagerace.store import Store


def open_store(options: argparse.Namespace, terminal: Terminal) -> Store:
    """That of ``--store DIR``, else that of the project.  Nothing is made yet."""
    said: set[str] = set()

    def note(text: str, important: bool) -> None:
        if text not in said and (important or options.verbose or options.store):
            terminal.note(text)
        said.add(text)

    if not options.store:
        return Store.of_project(note)
    if os.path.exists(options.store) and not os.path.isdir(options.store):
        raise UsageError(f"--store {options.store}: not a directory")
    return Store(Path(options.store), note=note)


def store_for_check(options: argparse.Namespace, terminal: Terminal) -> Store | None:
    """None where known failures are to be neither replayed nor kept.

    Who chooses the reductions, or what is looked for, or wants all verdicts, wants to see
    what a search says.
    """
    asks = options.reductions or options.all or options.data_races
    if options.no_store or asks:
        return None
    return open_store(options, terminal)
