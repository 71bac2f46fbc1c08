"""The package as a whole: its import, and what the process has loaded."""

import time

import pytest

import lambdaml


def test_import_is_fast_and_loads_no_numpy(run_python):
    # The processor's time: on a busy machine, that of the clock is others' too.
    code = (
        "import sys, time; begin = time.process_time(); import lambdaml; took = time.process_time() - begin\n"
        "print(took, 'numpy' in sys.modules)"
    )
    times = []
    for _ in range(5):
        took, numpy = run_python(code).split()
        assert numpy == "False"
        times.append(float(took))
    assert min(times) < 0.06


def test_no_libtorch_is_loaded(run_python):
    code = (
        "import lambdaml, numpy\n"
        "lambdaml.train(data=(numpy.eye(4, dtype='f'), [0, 1, 0, 1]), workers=1, channel='memory', "
        "platform='threads')\n"
        "print('torch' in open('/proc/self/maps').read())"
    )
    assert run_python(code).split()[-1] == "False"


def test_unknown_names_say_the_nearest():
    with pytest.raises(AttributeError, match="did you mean 'LogisticRegression'"):
        lambdaml.LogisticRegresion
    assert "train" in dir(lambdaml)
    for name in lambdaml.__all__:
        assert getattr(lambdaml, name) is not None


def test_what_is_not_installed_is_named(run_python):
    code = """
import sys
for name in ("sklearn", "scipy", "torch"):
    sys.modules[name] = None
import lambdaml
for name, needed in (("Ridge", "scikit-learn"), ("KMeans", "scikit-learn"), ("torch", "torch")):
    try:
        getattr(lambdaml, name)
    except ImportError as error:
        assert f"lambdaml.{name} needs {needed}: pip install {needed}" in str(error), error
    else:
        assert False
run = lambdaml.train(data=([[0.0], [1.0], [2.0], [3.0]], [0, 0, 1, 1]), workers=1, valid_ratio=0)
assert run.model.predict([[0.0], [3.0]]).tolist() == [0, 1]
"""
    run_python(code)


def test_every_code_is_an_exception_of_its_own():
    from lambdaml import _errors

    assert len(_errors._BY_CODE) == 13
    assert issubclass(lambdaml.InvalidArgument, ValueError)
    error = _errors.from_engine("invalid_argument", "X: 1 rows are too few; use fewer with --max-workers", "why")
    assert type(error) is lambdaml.InvalidArgument
    assert (error.code, error.hint, error.causes) == ("invalid_argument", "use fewer with max_workers=", "why")
    import pickle

    again = pickle.loads(pickle.dumps(error))
    assert (type(again), again.message) == (type(error), error.message)
    # With its value, it is an argument with that.
    for text, wanted in (
        ("deploying: --handler 'worke': give worker", "deploying: handler='worke': give worker"),
        ("--memory-mb 3: Lambda takes 128 to 10,240", "memory_mb=3: Lambda takes 128 to 10,240"),
        ("use --scale standard, a smaller --lr or more epochs", "use scale=standard, a smaller lr= or more epochs"),
        ("--zip and --image are both given", "zip= and image= are both given"),
    ):
        assert _errors.from_engine("invalid_argument", text).message == wanted
    # A command to be typed stays as it is.
    text = "stopped; continue with: lambdaml resume runs/1 --epochs 4"
    assert _errors.from_engine("cancelled", text).message == text


def test_the_nearest_name_is_the_hint():
    data = ([[0.0], [1.0]] * 4, [0, 1] * 4)
    calls = {
        "did you mean 'epochs'?": lambda: lambdaml.train(data=data, epoch=3),
        "did you mean 'local'?": lambda: lambdaml.train(data=data, platform="locl"),
        "did you mean 'strategy'?": lambda: lambdaml.tune(data=data, space={"l2": [1]}, strategie="grid"),
        "did you mean 'grid'?": lambda: lambdaml.tune(data=data, space={"l2": [1]}, strategy="gird"),
        "did you mean 'memcached' or 'memcacheds'?": lambda: lambdaml.storage.open("memcache://near"),
        "did you mean 'workers'?": lambda: lambdaml.Ridge(worker=2),
        "did you mean 'alpha'?": lambda: lambdaml.Ridge().set_params(alpa=2),
        "did you mean 'train'?": lambda: lambdaml.trian,
    }
    for hint, call in calls.items():
        with pytest.raises((ValueError, TypeError, AttributeError)) as raised:
            call()
        assert raised.value.hint == hint and str(raised.value).endswith(", " + hint), str(raised.value)
    from lambdaml import _errors

    several = "job.yaml: line 3: unknown option, did you mean 'l1', 'l2' or 'lr'? in the section a; b"
    assert _errors.from_engine("invalid_argument", several).hint == "did you mean 'l1', 'l2' or 'lr'?"
    assert not hasattr(lambdaml, "zzzzz")
    import pandas

    with pytest.raises(ValueError) as raised:
        lambdaml.Dataset(pandas.DataFrame({"age": [1.0], "kind": [0]}), "kin")
    assert raised.value.hint == "did you mean 'kind'?"
    with pytest.raises(ValueError) as raised:
        lambdaml.Dataset(pandas.DataFrame({"age": [1.0], "kind": [0]}), "label")
    assert raised.value.hint == "it has age, kind"


def test_the_stubs_name_all_that_there_is():
    import ast
    import pathlib

    from lambdaml import _lambdaml

    folder = pathlib.Path(lambdaml.__file__).parent
    for module, stub in ((lambdaml, "__init__.pyi"), (_lambdaml, "_lambdaml.pyi")):
        named = set()
        for node in ast.parse((folder / stub).read_text()).body:
            if isinstance(node, ast.ImportFrom):
                named.update(alias.asname or alias.name for alias in node.names if not alias.name.startswith("Any"))
            elif isinstance(node, (ast.ClassDef, ast.FunctionDef)):
                named.add(node.name)
            elif isinstance(node, ast.AnnAssign):
                named.add(node.target.id)
            elif isinstance(node, ast.Assign):
                assert ast.literal_eval(node.value) == lambdaml.__all__
        named.discard("Optional")
        present = {name for name in dir(module) if not name.startswith("_")} | {"__version__"} & named
        assert named == present
    for name in ("Dataset", "Model", "Job", "Store"):
        stub = (folder / "_lambdaml.pyi").read_text().split(f"class {name}:")[1].split("\nclass ")[0]
        for member in dir(getattr(_lambdaml, name)):
            assert member.startswith("_") or member in stub, f"{name}.{member}"


def test_a_wrong_type_is_one_line():
    """Of every argument of every public function: Python's usual errors, and none of the extension module's."""
    import inspect

    import numpy

    X = numpy.eye(4, dtype="f")
    data = lambdaml.Dataset(X, [0, 1, 0, 1])
    run = lambdaml.train(data=data, workers=1, valid_ratio=0)
    store = lambdaml.storage.open("memory://types")
    calls = [
        (lambdaml.train, {"data": data}), (lambdaml.resume, {"run": run}), (lambdaml.Run.open, {}), (run.wait, {}),
        (run.logs, {}), (run.plot, {}), (lambdaml.Model.load, {}), (run.model.predict, {}), (run.model.scores, {}),
        (run.model.predict_proba, {}), (lambdaml.Dataset, {"X": X}), (lambdaml.Dataset.read, {"place": "absent.csv"}),
        (data.save, {"uri": "./set"}), (lambdaml.Dataset.from_batches, {"batches": []}),
        (lambdaml.Dataset.from_batches([X]).save, {"uri": "./set"}), (lambdaml.storage.open, {}), (store.load, {}),
        (store.load_range, {"key": "a", "begin": 0, "length": 1}), (store.save, {"key": "a", "value": b""}),
        (store.remove, {}), (store.list, {}), (store.clear, {}), (store.__getitem__, {}), (store.__delitem__, {}),
        (lambdaml.predict, {"model": run, "data": "absent.csv", "to": "./out"}), (lambdaml.package, {}),
        (lambdaml.tune, {"data": data, "space": {"epochs": [1]}, "concurrency": 1}), (lambdaml.deploy, {"zip": "absent.zip"}),
        (lambdaml.destroy, {"dry_run": True}), (lambda **given: lambdaml.emulate(**given).__enter__(), {}),
    ]  # fmt: skip
    switches = ("start", "progress", "proba", "scores", "ignore_labels", "all", "dry_run", "deliver_twice", "auth")
    for function, given in calls:
        asked = lambdaml.emulate if function.__name__ == "<lambda>" else function
        for name, parameter in inspect.signature(asked).parameters.items():
            if name in switches or parameter.kind is parameter.VAR_KEYWORD:
                continue
            bad = object()
            try:
                if parameter.kind is parameter.VAR_POSITIONAL:
                    function(bad, **given)
                else:
                    function(**{**given, name: bad})
                text = "no error\n"
            except (TypeError, ValueError, KeyError) as error:
                text = str(error)
            assert "\n" not in text and "incompatible" not in text and "json" not in text, (function, name, text)
