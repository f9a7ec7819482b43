"""Write a fitted classifier to a file and read it back: tensors, and settings as JSON."""

from __future__ import annotations

import errno
import io
import json
import pickle
import warnings
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import torch

from grandpp.data.scaling import Scaling
from grandpp.estimator.calibration import Adjustment
from grandpp.studies.low_label.zoo import tuned_run
from grandpp.training.atomic_files import check_target, write_whole
from grandpp.training.command import resolve_device
from grandpp.training.settings import Run

if TYPE_CHECKING:
    from grandpp.estimator.classifier import NodeClassifier

C = TypeVar("C", bound="NodeClassifier")

FORMAT = "grandpp.NodeClassifier"
VERSION = 1


def write_model(classifier: NodeClassifier, path: Path) -> None:
    """Write a fitted classifier.

    Args:
        classifier: The classifier.
        path: The file; an older one is replaced in one step.

    Raises:
        ValueError: If its folder is missing or something else than a file is there.
        OSError: If it cannot be written.
    """
    check_target(path)
    run: Run = classifier.run_
    parameters = classifier.get_params()
    parameters["validation"] = None  # may be a mask of the graph, which is not in the file
    for name in ("seed", "ensemble", "epochs", "patience"):  # grids of parameters have NumPy's
        parameters[name] = None if parameters[name] is None else int(parameters[name])
    if parameters["estimate_shares"] is not None:
        parameters["estimate_shares"] = bool(parameters["estimate_shares"])
    if parameters["cluster_pool"] is not None:
        parameters["cluster_pool"] = float(parameters["cluster_pool"])
    classes = classifier.classes_
    told = {
        "parameters": parameters,
        "model": run.model,
        "labels_per_class": run.labels_per_class,
        "settings": run.settings.choices(),
        "temperature": classifier.temperature_,
        "inductive_temperature": classifier.inductive_.temperature,
        "calibrated": classifier.calibrated_,
        "features": classifier.n_features_in_,
        "feature_names": classifier.feature_names_in_,
        "classes": classes.tolist(),
        "class_names": classifier._class_names,
        "scaling": [
            None if part is None else part.tolist()
            for part in (classifier.scaling_.mean, classifier.scaling_.scale)
        ],
    }
    content = {
        "format": FORMAT,
        "version": VERSION,
        "json": json.dumps(told),
        "models": [
            {k: v.cpu() for k, v in model.state_dict().items()} for model in classifier.models_
        ],
        "corrections": [c.cpu() for c in classifier.corrections_],
        "inductive_corrections": [c.cpu() for c in classifier.inductive_.corrections],
        "proba": torch.from_numpy(classifier.predict_proba()),
        "given": torch.from_numpy(classifier.given_),
    }
    buffer = io.BytesIO()
    torch.save(content, buffer)
    write_whole(path, buffer.getvalue())


def read_model(kind: type[C], path: Path, device: str) -> C:
    """Read a classifier that :func:`write_model` wrote; nothing in the file is run.

    Args:
        kind: Its class.
        path: The file.
        device: Where its models compute.

    Raises:
        ValueError: If it is no such file, or of a newer version.
        OSError: If it cannot be read.
    """
    resolve_device(device)  # refused before the file is read
    content = _content(path)
    try:
        return _restore(kind, content, device)
    except (KeyError, IndexError, TypeError, AttributeError, RuntimeError) as error:
        raise ValueError(f"{path}: expected a model that NodeClassifier.save wrote") from error


def _restore(kind: type[C], content: dict[str, Any], device: str) -> C:
    told = json.loads(content["json"])
    classifier = kind(**told["parameters"])
    classifier.device = device
    here = resolve_device(device)
    choices = {k: v for k, v in told["settings"].items() if v is not None}
    classifier.run_ = tuned_run(
        "*",
        told["model"],
        told["labels_per_class"],
        protocol="no_val",
        seed=classifier.seed,
        **choices,
    )
    classifier.run_ = _as_written(classifier.run_, told["settings"])
    classes = told["classes"]
    names = isinstance(classes[0], str)
    classifier.classes_ = np.array(classes, dtype=object if names else np.int64)
    classifier.n_features_in_ = told["features"]
    classifier.feature_names_in_ = told["feature_names"]
    classifier._class_names = told["class_names"]
    classifier.scaling_ = Scaling(
        *(
            None if part is None else torch.tensor(part, dtype=torch.float64)
            for part in told["scaling"]
        )
    )
    classifier.temperature_, classifier.calibrated_ = told["temperature"], told["calibrated"]
    classifier.given_ = content["given"].numpy()
    index = (content["given"] >= 0).nonzero().view(-1)
    # Older files have none: on another graph their models do not adjust to shares of the classes.
    none = torch.zeros(len(classes), dtype=torch.float64)
    corrections = content.get("corrections", [none] * len(content["models"]))
    shape = len(content["models"]), len(classes)
    classifier.corrections_ = list(torch.stack(corrections).view(shape))
    # Before clusters were pooled there was one adjustment for all graphs.
    corrections = content.get("inductive_corrections", corrections)
    classifier.inductive_ = Adjustment(
        float(told.get("inductive_temperature", classifier.temperature_)),
        list(torch.stack(corrections).view(shape)),
    )
    classifier.models_ = []
    for state in content["models"]:
        model = classifier.run_.settings.build(told["features"], len(classes))
        model.load_state_dict(state)
        model = model.to(here).eval()
        model.fit_labels(index.to(here), content["given"][index].to(here))
        classifier.models_.append(model)
    classifier._proba = content["proba"].numpy()
    return classifier


def _as_written(run: Run, settings: dict[str, Any]) -> Run:
    """The run with the settings in the file, also those without a value.

    What is newer than the file has its default: its models do not have it.
    """
    defaults = {f.name: f.default for f in fields(run.settings)}
    names = run.settings.choice_names()
    return run.with_settings(**{name: settings.get(name, defaults[name]) for name in names})


def _content(path: Path) -> dict[str, Any]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about what is in a file that is refused below
            content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise FileNotFoundError(f"{path}: expected a saved model (got no such file)") from None
    except OSError as error:
        if error.errno != errno.EINVAL:  # what a file that was cut short gives
            raise
        raise ValueError(f"{path}: expected a model that NodeClassifier.save wrote") from error
    except (pickle.UnpicklingError, RuntimeError, EOFError, LookupError, ValueError) as error:
        raise ValueError(f"{path}: expected a model that NodeClassifier.save wrote") from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise ValueError(f"{path}: expected a model that NodeClassifier.save wrote")
    if content.get("version") != VERSION:
        raise ValueError(
            f"{path}: expected a model of version {VERSION} "
            f"(got {content.get('version')}, which another version of grandpp wrote)"
        )
    return content
