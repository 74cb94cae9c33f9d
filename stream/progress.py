"""How far long work has come, for people at a terminal and for readers of logs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from stream.clock import Clock

# Told (stage, done, total or None).
Show = Callable[[str, float, float | None], None]
_LINE_EVERY_S = 5.0


@contextmanager
def progress_bar(console: Console, clock: Clock) -> Iterator[Show]:
    """A bar with ETA on a terminal, a plain line now and then in a log.

    Args:
        console: where to show it.
        clock: for the lines of a log.
    """
    if console.is_terminal:
        columns = (TextColumn("{task.description:<10}"), BarColumn(), TextColumn("{task.percentage:>3.0f}%"))
        with Progress(*columns, TimeElapsedColumn(), TimeRemainingColumn(), console=console, transient=True) as bar:
            tasks: dict[str, TaskID] = {}

            def show(stage: str, done: float, total: float | None) -> None:
                if stage not in tasks:
                    tasks[stage] = bar.add_task(stage, total=total)
                bar.update(tasks[stage], completed=done, total=total)

            yield show
        return
    begun: dict[str, float] = {}
    last_s = -_LINE_EVERY_S

    def log(stage: str, done: float, total: float | None) -> None:
        nonlocal last_s
        now_s = clock.now_s()
        begun.setdefault(stage, now_s)
        if now_s - last_s < _LINE_EVERY_S:
            return
        last_s = now_s
        spent_s = now_s - begun[stage]
        if total and done > 0:
            left_s = spent_s * (total - done) / done
            console.print(f"{stage} {100 * done / total:.0f} % ({left_s:.0f} s left)")
        else:
            console.print(f"{stage} {done:.0f}")

    yield log
