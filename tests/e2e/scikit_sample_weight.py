"""Writes data sets whose rows have weights to FOLDER and prints, as JSON, what scikit-learn learns
from them with sample_weight: python3 scikit_sample_weight.py FOLDER

Tables NAME.csv with the columns y, x0 ... x4 and w, and 2.npz with X, y and sample_weight. Objectives
are divided by the sum of the weights."""
import json
import sys

import numpy as np
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import log_loss, mean_absolute_error, mean_squared_error, r2_score

CLASS_WEIGHTS = {"": None, "0=0.25,1=2": {0: 0.25, 1: 2}}


def rows_of(classes):
    rng = np.random.default_rng(classes)
    labels = rng.choice(max(classes, 2), 400)
    x = rng.normal(size=(400, 5)) + 0.7 * rng.normal(size=(max(classes, 2), 5))[labels]
    weights = rng.exponential(40, 400)
    weights[rng.choice(400, 100, replace=False)] = 0
    weights[labels == 1] *= 3
    y = x @ [1, -2, 0.5, 0, 3] + rng.normal(size=400) if classes == 0 else labels
    return x.astype(np.float32), y.astype(np.float32 if classes == 0 else int), weights.astype(np.float32)


out = {}
folder = sys.argv[1]
for classes in (0, 2, 3):
    x, y, w = rows_of(classes)
    with open(f"{folder}/{classes}.csv", "w") as file:
        file.write("y,x0,x1,x2,x3,x4,w\n")
        for row, label, weight in zip(x, y, w):
            file.write(f"{label:.9g}," + ",".join(f"{value:.9g}" for value in row) + f",{weight:.9g}\n")
    total = float(np.sum(w, dtype=float))
    if classes == 2:
        np.savez(f"{folder}/2.npz", X=x, y=y, sample_weight=w)
    if classes == 0:
        model = Ridge(alpha=1, solver="cholesky").fit(x.astype(float), y, sample_weight=w.astype(float))
        predicted = model.predict(x)
        out["0 "] = {
            "coefficients": [model.coef_.tolist()],
            "intercept": [float(model.intercept_)],
            "objective": mean_squared_error(y, predicted, sample_weight=w) / 2
            + float(model.coef_ @ model.coef_) / 2 / total,
            "train_rmse": mean_squared_error(y, predicted, sample_weight=w) ** 0.5,
            "train_mae": float(mean_absolute_error(y, predicted, sample_weight=w)),
            "train_r2": r2_score(y, predicted, sample_weight=w),
        }
        continue
    for text, weights in CLASS_WEIGHTS.items():
        model = LogisticRegression(class_weight=weights, tol=1e-10, max_iter=10000).fit(x, y, sample_weight=w)
        full = w * np.array([(weights or {}).get(label, 1) for label in y])
        loss = log_loss(y, model.predict_proba(x), sample_weight=full) * float(np.sum(full)) / total
        out[f"{classes} {text}"] = {
            "coefficients": model.coef_.tolist(),
            "intercept": model.intercept_.tolist(),
            "objective": loss + float(np.sum(model.coef_ ** 2)) / 2 / total,
            "train_loss": loss,
            "train_accuracy": model.score(x, y),
        }
print(json.dumps(out))
