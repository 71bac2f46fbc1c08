"""Predictions by functions, where the data are."""

import os

from . import _lambdaml, _options
from ._job import finish
from ._model import Model
from ._run import Run


def predict(model, data, to, *, format=None, out_format="csv", proba=False, scores=False, ignore_labels=False, **options):
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
    if isinstance(model, Run):
        model = model.folder
    elif isinstance(model, Model):
        model = model._place
    options["format"] = format
    job = _lambdaml.predict(
        os.fspath(model),
        os.fspath(data),
        os.fspath(to),
        out_format,
        proba,
        scores,
        ignore_labels,
        _options.pairs(options),
    )
    return finish(job)
