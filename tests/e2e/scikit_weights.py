"""Writes data sets of uneven classes to FOLDER and prints, as JSON, what scikit-learn's logistic
regression learns from them with weights: python3 scikit_weights.py FOLDER"""
import json
import sys

import numpy as np
from sklearn.linear_model import LogisticRegression

WEIGHTS = {"balanced": "balanced", "1=3.5": {1: 3.5}, "0=0.25,1=2": {0: 0.25, 1: 2}}


def rows_of(classes):
    rng = np.random.default_rng(classes)
    labels = rng.choice(classes, 400, p=np.arange(1, classes + 1) / sum(range(1, classes + 1)))
    x = rng.normal(size=(400, 5)) + 0.7 * rng.normal(size=(classes, 5))[labels]
    return x.astype(np.float32), labels


out = {}
for classes in (2, 3):
    x, y = rows_of(classes)
    with open(f"{sys.argv[1]}/{classes}.libsvm", "w") as file:
        for row, label in zip(x, y):
            values = " ".join(f"{j + 1}:{value:.9g}" for j, value in enumerate(row))
            file.write(f"{label} {values}\n")
    for text, weights in WEIGHTS.items():
        model = LogisticRegression(class_weight=weights, tol=1e-10, max_iter=10000).fit(x, y)
        out[f"{classes} {text}"] = {
            "coefficients": model.coef_.tolist(),
            "intercept": model.intercept_.tolist(),
        }
print(json.dumps(out))
