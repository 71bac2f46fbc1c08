"""The package as a whole: its import, and what the process has loaded."""

import time

import pytest

import lambdaml


def test_import_is_fast_and_loads_no_numpy(run_python):
    code = (
        "import sys, time; begin = time.perf_counter(); import lambdaml; took = time.perf_counter() - begin\n"
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
    # A command to be typed stays as it is.
    text = "stopped; continue with: lambdaml resume runs/1 --epochs 4"
    assert _errors.from_engine("cancelled", text).message == text
