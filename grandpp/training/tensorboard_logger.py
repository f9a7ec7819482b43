"""Write runs as event files of TensorBoard, by the writer that comes with torch."""

from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from grandpp.training.settings import Run

if TYPE_CHECKING:
    from grandpp.training.loggers import EpochValues

_RESULTS = ("test_accuracy", "val_accuracy", "last_test_accuracy", "best_epoch", "seconds",
            "peak_memory_mb")  # fmt: skip


class TensorBoardLogger:
    """Write every run into a folder of its own: ``tensorboard --logdir DIR`` shows them.

    Args:
        folder: Folder of all runs; made with the first one. On a cluster it is on the machine of
            the worker, unless the machines share it.

    Raises:
        ImportError: If tensorboard is not installed.
        NotADirectoryError: If there is a file of that name.
    """

    def __init__(self, folder: str | Path) -> None:
        if find_spec("tensorboard") is None:
            raise ImportError(
                "expected the package tensorboard (it is not installed): pip install 'grandpp[log]'"
            )
        self.folder = Path(folder).resolve()  # workers may have another working directory
        if self.folder.exists() and not self.folder.is_dir():
            raise NotADirectoryError(f"expected a folder for TensorBoard (got the file {folder})")

    def begin(self, run: Run) -> TensorBoardRun:
        """Begin to write a run; one that is repeated replaces the curves of the earlier one."""
        return TensorBoardRun(self.folder / _place(run), run)


class TensorBoardRun:
    """The event file of one run.

    Args:
        folder: Its folder.
        run: The run.
    """

    def __init__(self, folder: Path, run: Run) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._run = run
        # Whatever an interrupted attempt wrote, from step 0 on, is hidden.
        self._writer: Any = SummaryWriter(str(folder), purge_step=0)

    def epoch(self, values: EpochValues) -> None:
        """Write the values that the epoch has."""
        curves = {
            "loss": values.loss,
            "accuracy/validation": values.val_accuracy,
            "evaluations/forward": values.nfe_forward,
            "evaluations/backward": values.nfe_backward,
            "seconds/epoch": values.seconds,
        }
        for name, value in curves.items():
            if value is not None:
                self._writer.add_scalar(name, value, values.epoch)

    def end(self, record: dict[str, Any] | None) -> None:
        """Write settings and results of a run that has ended, and close the file."""
        if record is not None:
            choices = self._run.choices()
            settings = {k: v for k, v in choices.items() if isinstance(v, (bool, int, float, str))}
            found = {name: record.get(name) for name in _RESULTS}
            results = {f"result/{k}": v for k, v in found.items() if v is not None}
            self._writer.add_hparams(settings, results, run_name=".")
            if record["status"] != "success":
                self._writer.add_text("status", f"{record['status']}: {record['message']}")
        self._writer.close()


def _place(run: Run) -> Path:
    """The folder of a run; runs with different keys have different ones."""
    return Path(
        _plain(f"{run.dataset}-{run.labels_per_class}-per-class-{run.protocol}"),
        _plain(f"{run.model}-{run.config_hash}"),
        f"split-{run.split}-seed-{run.seed}",
    )


def _plain(name: str) -> str:
    return re.sub(r"[^\w.+-]+", "_", name)
