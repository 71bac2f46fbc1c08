#!/usr/bin/python3
"""What scikit-learn makes of data sets, with its own defaults and at the optimum.

scikit_linear.py FOLDER DATA writes FOLDER/NAME.train.libsvm and NAME.test.libsvm for its bundled data
sets, raw and unscaled, and for w8a, and FOLDER/reference.json with, for these and the real ones in DATA:
score (accuracy or R^2 on the test rows) with default settings, and objective: the mean loss plus
1/rows/2 |w|^2 at the optimum on the training rows, which are standardized if they are dense.
"""
import json
import pathlib
import sys
import warnings

import numpy
from sklearn import datasets, linear_model, metrics, model_selection, preprocessing

warnings.filterwarnings("ignore")


def objective(model, x, y, is_regression):
    if is_regression:
        loss = 0.5 * numpy.mean((model.predict(x) - y) ** 2)
    else:
        loss = metrics.log_loss(y, model.predict_proba(x), eps=1e-300)
    return float(loss + numpy.sum(numpy.square(model.coef_)) / 2 / len(y))


def reference(x, y, test_x, test_y, is_regression, is_dense):
    usual = (linear_model.Ridge() if is_regression else linear_model.LogisticRegression()).fit(x, y)
    out = {"score": usual.score(test_x, test_y), "test_rows": len(test_y)}
    rows = preprocessing.StandardScaler().fit_transform(x) if is_dense else x
    if is_regression:
        optimum = linear_model.Ridge(alpha=1, solver="cholesky")
    elif is_dense and len(set(y)) == 2:
        optimum = linear_model.LogisticRegression(solver="newton-cholesky", tol=1e-10)
    else:
        optimum = linear_model.LogisticRegression(tol=1e-8, max_iter=10000)
    out["objective"] = objective(optimum.fit(rows, y), rows, y, is_regression)
    return out


def main():
    folder, data = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
    out = {}
    for name in ["higgs", "agaricus", "rcv1"]:
        x, y = datasets.load_svmlight_file(data / f"{name}.train.libsvm")
        test_x, test_y = datasets.load_svmlight_file(data / f"{name}.test.libsvm", n_features=x.shape[1])
        if name == "higgs":
            x, test_x = x.toarray(), test_x.toarray()
        out[name] = reference(x, y, test_x, test_y, False, name == "higgs")
    for name in ["w8a", "breast_cancer", "iris", "wine", "digits", "diabetes"]:
        if name == "w8a":
            all_x, all_y = datasets.load_svmlight_file(data / "w8a.libsvm")
        else:
            arguments = {"scaled": False} if name == "diabetes" else {}
            all_x, all_y = getattr(datasets, f"load_{name}")(return_X_y=True, **arguments)
        x, test_x, y, test_y = model_selection.train_test_split(all_x, all_y, test_size=0.25, random_state=0)
        for part, rows, labels in [("train", x, y), ("test", test_x, test_y)]:
            datasets.dump_svmlight_file(rows, labels, str(folder / f"{name}.{part}.libsvm"), zero_based=False)
        out[name] = reference(x, y, test_x, test_y, name == "diabetes", name != "w8a")
    (folder / "reference.json").write_text(json.dumps(out))


main()
