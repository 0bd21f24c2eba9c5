"""Progress of a command on the terminal: a bar a step, lines where there is no terminal."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from mlpipe.records.capture import peak_mib


def spent(seconds: float) -> str:
    """What a command took: time, and the most memory that this process has held."""
    return f"Took {seconds:.1f} s and at most {peak_mib():,.0f} MB of memory."


class Step(Protocol):
    """What a listener hears: see `mlpipe.orchestration.runtime.Progress`."""

    asset: str
    done: int
    total: int


class Bars:
    """Shows runs as headings and steps as bars. One thread."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

        self.console = Console(file=sys.stderr)
        columns = (
            TextColumn("  {task.description:<22}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
        )
        self.bars = Progress(*columns, console=self.console)
        self._tasks: dict[str, Any] = {}
        self._started = time.perf_counter()

    def tell(self, request: Any, run_id: str) -> None:
        """A run starts (empty id) or has ended."""
        if run_id:
            return
        self._tasks.clear()
        span = request.first if request.first == request.last else f"{request.first} to {request.last}"
        what = ", ".join(request.assets) if request.assets else request.job
        self.bars.print(f"{what}: {span}")

    def listen(self, step: Step) -> None:
        """A step has come further."""
        if not self.console.is_terminal:
            if step.done == step.total or step.done % max(step.total // 4, 1) == 0:
                self.console.print(
                    f"  {step.asset} {step.done}/{step.total} ({time.perf_counter() - self._started:.0f} s)",
                    highlight=False,
                )
            return
        if step.asset not in self._tasks:
            self._tasks[step.asset] = self.bars.add_task(step.asset, total=step.total)
        self.bars.update(self._tasks[step.asset], completed=step.done)


@contextmanager
def bars() -> Iterator[tuple[Any, Any]]:
    """Two listeners: for runs, and for their steps."""
    shown = Bars()
    with shown.bars:
        yield shown.tell, shown.listen


class Night(Protocol):
    """What the bar of a replay hears: see `mlpipe.orchestration.replay.Told`."""

    key: str
    done: int
    total: int
    champion: int | None
    text: str


@contextmanager
def nights(pipeline: str) -> Iterator[Callable[[Any], None]]:
    """A listener for the nights of a replay: one bar, and a line for each night on which something was decided."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(file=sys.stderr)
    columns = (TextColumn("{task.description:<32}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    started = time.perf_counter()
    with Progress(*columns, console=console) as bar:
        task = bar.add_task(pipeline, total=None)

        def tell(night: Night) -> None:
            who = "no model yet" if night.champion is None else f"{pipeline}@{night.champion} is live"
            if night.text:
                bar.print(f"{night.key}  {night.text}", highlight=False, markup=False)
            elif not console.is_terminal and night.done % 30 == 0:
                took = f"{time.perf_counter() - started:.0f} s"
                bar.print(f"{night.key}  {night.done} of {night.total}, {who} ({took})", markup=False)
            bar.update(task, description=f"{night.key}  {who}", completed=night.done, total=night.total)

        yield tell


@contextmanager
def lives(pipeline: str) -> Iterator[Callable[[str, int, int, str], None]]:
    """A listener for the nights of several policies: a bar for each, and a line for each night on which something was decided."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(file=sys.stderr)
    columns = (TextColumn("{task.description:<24}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    started, tasks = time.perf_counter(), {}
    tenths: dict[str, int] = {}
    with Progress(*columns, console=console) as bar:

        def tell(name: str, done: int, total: int, text: str) -> None:
            if name not in tasks:
                tasks[name] = bar.add_task(f"{pipeline}, {name}", total=total)
            if text:
                bar.print(f"{name}, {done} of {total}: {text}", highlight=False, markup=False)
            elif not console.is_terminal and done * 10 // total != tenths.get(name):
                took = f"{time.perf_counter() - started:.0f} s"
                bar.print(f"{name}, {done} of {total} ({took})", highlight=False, markup=False)
            tenths[name] = done * 10 // total
            bar.update(tasks[name], completed=done, total=total)

        yield tell


@contextmanager
def counting(what: str) -> Iterator[Callable[[int, int], None]]:
    """A listener for work of which so much of so much is done: one bar, which shows itself once there is something to do."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(file=sys.stderr), transient=True) as bar:
        task = bar.add_task(what, total=None, visible=False)
        yield lambda done, total: bar.update(task, completed=done, total=total, visible=True)
