"""What the command line shows: results on stdout, progress and notes on stderr."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import logging
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from affnet_tf.silence import silent

__all__ = ["Console"]

Report = Callable[..., None]


@dataclasses.dataclass(frozen=True)
class Console:
    """Where a command writes.

    Attributes:
        json: print one JSON document instead of tables.
        quiet: no progress and no notes.
        debug: let other libraries talk.
    """

    json: bool = False
    quiet: bool = False
    debug: bool = False

    def result(self, document: Any, *tables: tuple[str, Sequence[str], Sequence[Sequence[object]]]) -> None:
        """Print a result: the document as JSON, or the tables (title, column names, rows)."""
        if self.json:
            print(json.dumps(document, indent=2, ensure_ascii=False))
            return
        from rich import box
        from rich.console import Console as Rich
        from rich.table import Table

        # Paths may hold what looks like markup; a table's own title would be folded to the table's width.
        rich = Rich(highlight=False, markup=False, emoji=False, width=None if sys.stdout.isatty() else 160)
        for title, columns, rows in tables:
            if title:
                rich.print(title, style="bold", soft_wrap=True)
            table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
            for i, column in enumerate(columns):
                numeric = any(isinstance(row[i], (int, float)) for row in rows)
                table.add_column(column, justify="right" if numeric else "left", overflow="fold")
            for row in rows:
                table.add_row(*(_cell(value) for value in row))
            rich.print(table)

    def line(self, text: str) -> None:
        """Print a line of the result, unless the result is JSON."""
        if not self.json:
            print(text)

    def note(self, text: str) -> None:
        """Tell something that is not a result."""
        if not self.quiet:
            print(text, file=sys.stderr)

    @contextlib.contextmanager
    def chatter(self) -> Iterator[None]:
        """Nothing that is printed inside is shown, unless ``debug``; what is raised inside is."""
        if self.debug:
            yield
            return
        with contextlib.ExitStack() as stack:
            stack.enter_context(silent())
            nowhere = stack.enter_context(open(os.devnull, "w"))
            stack.enter_context(contextlib.redirect_stdout(nowhere))
            stack.enter_context(contextlib.redirect_stderr(nowhere))
            # A library's logger keeps the stream that it began with: in a notebook, TensorFlow's keeps stdout.
            stack.callback(logging.disable, logging.root.manager.disable)
            logging.disable()
            yield

    @contextlib.contextmanager
    def progress(self, title: str) -> Iterator[Report]:
        """A bar with the time left, or a line for each tenth where stderr is not a terminal.

        Call what is yielded with (done, total) or (done, total, what).
        """
        if self.quiet or not sys.stderr.isatty():
            tenths: set[int] = set()

            def line(done: int, total: int, what: str = "") -> None:
                tenth = 10 * done // max(total, 1)
                if tenth not in tenths:
                    tenths.add(tenth)
                    self.note(f"{title}: {done}/{total} {what}".rstrip())

            yield line
            return
        from rich.console import Console as Rich
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeElapsedColumn,
            TimeRemainingColumn,
        )

        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=Rich(stderr=True)) as bar:
            task = bar.add_task(title, total=None)

            def report(done: int, total: int, what: str = "") -> None:
                bar.update(task, completed=done, total=total, description=f"{title} {what}".rstrip())

            yield report


def _cell(value: object) -> str:
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "-"}[value]
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, int):
        return f"{value:,}"
    return str(value)
