"""A program with types, as a user may write it: for mypy --strict. It is not run."""
from pathlib import Path

import lambdaml
import lambdaml.torch
from lambdaml import KMeans, Lasso, LogisticRegression


def show(metrics: dict[str, object]) -> bool:
    return metrics["epoch"] == 3


run = lambdaml.train({"model": "lr"}, data=Path("rows.csv"), workers=4, callbacks=[show])
cost: float | None = run.cost_usd
accuracy: int = run.model.n_features
run2: lambdaml.Run = run.resume(epochs=3).wait(timeout=3.0).stop()
rows = lambdaml.Dataset.from_parquet(["a.parquet"], label="y")
uri: str = rows.save("set", parts=3)
data: lambdaml.Dataset = rows.load()
names: list[str] | None = data.feature_names
model = LogisticRegression(C=0.1, workers=2).fit([[0.0]], [1])
model.predict_proba([[1.0]])
KMeans(3).partial_fit([[1.0]]).fit([[2.0]]).predict([[1]])
Lasso(warm_start=True)
search = lambdaml.tune(space={"lr": [1.0]}, trials=3)
best: dict[str, object] | None = search.best
with lambdaml.emulate(port=3) as endpoint:
    print(endpoint.upper())
store = lambdaml.storage.open("memory://a")
store["a"] = b"x"
value: bytes | None = store.load("b")
lambdaml.deploy(zip="a.zip", env={"A": "b"})
try:
    lambdaml.predict(run, "a", "b")
except lambdaml.InvalidArgument as error:
    print(error.code, error.hint)
