"""Predictions by functions, where the data are."""

from __future__ import annotations

import os
from typing import Any, Optional, Union

from . import _checks, _lambdaml, _options
from ._job import finish
from ._model import Model
from ._run import Run
from ._types import Place


def predict(
    model: Union[Place, Model, Run],
    data: Place,
    to: Place,
    *,
    format: Optional[str] = None,
    out_format: str = "csv",
    proba: bool = False,
    scores: bool = False,
    ignore_labels: bool = False,
    **options: Any,
) -> dict[str, Any]:
    """Predicts rows by functions, as ``lambdaml predict --to`` does.

    For rows in memory, use :meth:`Model.predict`.

    Parameters
    ----------
    model : str, path, Model or Run
        A model file, or the folder of a run: path or URI.
    data : str or path
        Rows: a file or a prepared set.
    to : str or path
        The folder or URI prefix that gets the results, a file for each part.
    format : str, optional
        The format of the rows' files; by default it is found.
    out_format : str
        That of the results, as ``lambdaml predict --out-format`` has them.
    proba, scores : bool
        The probability, the score of each class too.
    ignore_labels : bool
        The rows' labels are not the model's: nothing is measured.
    **options
        Options of the job: ``workers``, ``platform``, ``channel`` …

    Returns
    -------
    dict
        The measures of the predictions over all rows, and ``path``, ``parts``, ``workers``, ``job_id``.
    """
    place = model._known_folder() if isinstance(model, Run) else model._place if isinstance(model, Model) else model
    options["format"] = format
    job = _lambdaml.predict(
        os.fspath(place),  # type: ignore[arg-type]
        os.fspath(data),
        os.fspath(to),
        _checks.text("out_format", out_format),
        bool(proba),
        bool(scores),
        bool(ignore_labels),
        _options.pairs(options),
    )
    return finish(job)
