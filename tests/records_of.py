"""Records with chosen accuracies."""

from __future__ import annotations


def records_of(model, values, *, dataset="Cora", labels=1, protocol="grand", seed=0, **more):
    """One record per value, on the splits 0, 1, ...; ``None`` is a failed run."""
    return [
        {
            "dataset": dataset,
            "labels_per_class": labels,
            "protocol": protocol,
            "model": model,
            "split": split,
            "seed": seed,
            "config_hash": f"{model}-{dataset}-{labels}-{protocol}",
            "split_digest": f"{dataset}-{labels}-{split}",
            "test_accuracy": value,
            "last_test_accuracy": None if value is None else value / 2,
            "val_accuracy": value,
            **more,
        }
        for split, value in enumerate(values)
    ]
