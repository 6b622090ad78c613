"""A progress callback: a bar on a terminal, plain lines anywhere else."""

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from delta_core.plain_text import shown
from delta_core.training.history import Epoch


class RichProgress:
    """Prints a line after each epoch; as a context it also shows a bar below them, where there is a terminal.

    Example:
        >>> with RichProgress() as progress:
        ...     progress(Epoch(number=1, epochs=10, train_loss=0.7, val_top1=81.25, train_s=2.0))
        epoch 1/10  loss 0.7000  validation 81.25 %
    """

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console()
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        hidden = not self.console.is_terminal
        self._progress = Progress(*columns, console=self.console, disable=hidden, transient=True)
        self._bar = self._progress.add_task("epochs", total=None)

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._progress.stop()

    def __call__(self, epoch: Epoch) -> None:
        """Tell of an epoch that has ended."""
        self._progress.update(self._bar, completed=epoch.number, total=epoch.epochs)
        validation = "" if epoch.val_top1 is None else f"  validation {epoch.val_top1:.2f} %"
        self.say(f"epoch {epoch.number}/{epoch.epochs}  loss {epoch.train_loss:.4f}{validation}")

    def say(self, line: str) -> None:
        """Print one line as it is: no colour, no markup, no faces, and no wrapping, so that it can be piped."""
        self.console.print(shown(line), markup=False, emoji=False, highlight=False, soft_wrap=True)
