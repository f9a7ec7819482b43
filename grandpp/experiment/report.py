"""The table a user reads at the end of a sweep."""

from __future__ import annotations

from collections.abc import Sequence

from grandpp.experiment.records import Record
from grandpp.experiment.statistics import PairedDifference, paired_difference, summarize
from grandpp.experiment.tables import columns


def accuracy_table(records: Sequence[Record], baseline: str = "grand-l") -> str:
    """Format one line per model: accuracy, paired difference to a baseline, cost.

    Args:
        records: Records of one data set and one number of labels.
        baseline: Model the differences are taken to. (default: ``"grand-l"``)

    Returns:
        A table in text; accuracies in percent, mean +- standard deviation over runs.
    """
    models = list(dict.fromkeys(r["model"] for r in records))
    reference = [r for r in records if r["model"] == baseline]
    head = [
        "model",
        "runs",
        "test accuracy",
        "last epoch",
        "validation",
        f"paired diff. to {baseline}",
        "NFE/forward",
        "s/run",
    ]
    rows = [head]
    for model in models:
        own = [r for r in records if r["model"] == model]
        summary = summarize(own)
        failed = f" ({summary.failed} failed)" if summary.failed else ""
        accuracy = (
            "-"
            if summary.mean is None
            else f"{_percent(summary.mean)} +- {_percent(summary.std)} %"
        )
        last = _unit(summary.last_mean)
        difference = None if model == baseline else paired_difference(own, reference)
        rows.append(
            [
                model,
                f"{summary.n}{failed}",
                accuracy,
                last,
                _unit(summary.val_mean),
                _difference(difference),
                "-" if summary.nfe_forward is None else f"{summary.nfe_forward:.1f}",
                "-" if summary.seconds is None else f"{summary.seconds:.1f}",
            ]
        )
    return columns(rows)


def _percent(fraction: float | None) -> str:
    return "-" if fraction is None else f"{100 * fraction:.2f}"


def _unit(fraction: float | None) -> str:
    return "-" if fraction is None else f"{_percent(fraction)} %"


def _difference(d: PairedDifference | None) -> str:
    if d is None:
        return "-"
    text = f"{100 * d.mean:+.2f}"
    if d.half_width is not None:
        text += f" +- {100 * d.half_width:.2f}"
    return text if d.p_value is None else f"{text} (p = {d.p_value:.2g})"
