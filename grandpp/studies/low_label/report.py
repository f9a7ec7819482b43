"""The accuracy table printed at the end of a sweep."""

from __future__ import annotations

from collections.abc import Sequence

from grandpp.training.records import Record
from grandpp.training.statistics import PairedDifference, Summary, paired_difference, summarize
from grandpp.training.tables import columns


def accuracy_table(records: Sequence[Record], baseline: str = "grand-l") -> str:
    """Format one line per model: accuracy, paired difference to a baseline, cost.

    The accuracy at the best time has a column if some runs recorded it. So have the accuracy with
    nodes to label that were chosen without labels, and the mean number of classes among them; all
    other columns are those of random splits, if there are any.

    Args:
        records: Records of one data set and one number of labels.
        baseline: Model that differences are computed to. (default: ``"grand-l"``)

    Returns:
        A table in text; accuracies in percent, mean +- standard deviation over runs.

    Raises:
        ValueError: If there is no record.
    """
    if not records:
        raise ValueError("expected records for a table (got none)")
    models = list(dict.fromkeys(r["model"] for r in records))
    reference = [r for r in records if r["model"] == baseline and not r.get("labels_chosen")]
    rows = []
    for model in models:
        every = [r for r in records if r["model"] == model]
        chosen = [r for r in every if r.get("labels_chosen")]
        own = [r for r in every if not r.get("labels_chosen")] or chosen
        summary = summarize(own)
        difference = None if model == baseline else paired_difference(own, reference)
        row = {"model": model, **_results(summary)}
        row[f"paired diff. to {baseline}"] = _difference(difference)
        row |= _chosen(chosen)
        rows.append(row | _costs(summary))
    unused = []
    if not any(r.get("best_time") is not None for r in records):
        unused.append("at best time")
    if not any(r.get("labels_chosen") for r in records):
        unused += list(_chosen([]))
    rows = [{name: row[name] for name in row if name not in unused} for row in rows]
    return columns([list(rows[0]), *(list(row.values()) for row in rows)])


def _results(summary: Summary) -> dict[str, str]:
    failed = f" ({summary.failed} failed)" if summary.failed else ""
    spread = f"{_percent(summary.mean)} +- {_percent(summary.std)} %"
    return {
        "runs": f"{summary.n}{failed}",
        "test accuracy": "-" if summary.mean is None else spread,
        "at best time": _unit(summary.best_time_mean),
        "last epoch": _unit(summary.last_mean),
        "validation": _unit(summary.val_mean),
    }


def _chosen(records: Sequence[Record]) -> dict[str, str]:
    """Results of runs whose labelled nodes were chosen without labels, by coverage."""
    if not records:
        return {"nodes chosen by coverage": "-", "classes met": "-"}
    met = [r["classes_met"] for r in records if r.get("classes_met") is not None]
    return {
        "nodes chosen by coverage": _results(summarize(records))["test accuracy"],
        "classes met": f"{sum(met) / len(met):.1f}" if met else "-",
    }


def _costs(summary: Summary) -> dict[str, str]:
    return {
        "NFE/forward": "-" if summary.nfe_forward is None else f"{summary.nfe_forward:.1f}",
        "s/run": "-" if summary.seconds is None else f"{summary.seconds:.1f}",
    }


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
