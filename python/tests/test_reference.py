"""The reference, and what the docstrings say."""

import doctest
import inspect
import pathlib
import sys

import pytest
from numpydoc.docscrape import NumpyDocString
from numpydoc.validate import validate

import lambdaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "python" / "docs"))

import reference  # noqa: E402

NAMES = [name for names in reference.NAMES.values() for name in names]
# Made by functions of the package, not by a user.
MADE = ("Run", "Model", "Stream", "Search", "torch.TorchRun", "storage.Store", *reference.NAMES["Errors"])
# Of numpydoc: parameters that are not described, are in another order or have no type; a result that is not named.
FAULTS = ("PR01", "PR02", "PR03", "PR04", "PR07", "RT01")


def with_members(name):
    """A public thing and, of a class, its public members: (name, thing)."""
    thing = reference.thing_of(name)
    members = reference.all_members(thing) if inspect.isclass(thing) else ()
    return [(name, thing), *((f"{name}.{own}", member) for own, member in members)]


def test_the_reference_is_that_of_the_docstrings():
    assert (ROOT / "docs" / "reference" / "python-api.md").read_text() == reference.reference(), (
        "write it again: PYTHONPATH=build/release/python python3 python/docs/reference.py > docs/reference/python-api.md"
    )


def test_all_public_names_are_in_it():
    named = {name.split(".")[0] for name in NAMES} - {"torch"}
    assert named == set(lambdaml.__all__) - {"__version__"}


@pytest.mark.parametrize("name", NAMES)
def test_docstrings_name_the_parameters_that_there_are(name):
    for name, thing in with_members(name):
        assert inspect.getdoc(thing), f"{name} has no docstring"
        if isinstance(thing, property):
            continue
        named = [
            each.strip().lstrip("*")
            for entry in NumpyDocString(inspect.getdoc(thing))["Parameters"]
            for each in entry.name.split(",")
        ]
        try:
            there = [each for each in inspect.signature(thing).parameters if each not in ("self", "cls")]
        except (TypeError, ValueError):
            continue
        assert set(named) <= set(there), name
        if named:
            assert set(named) == set(there), name


@pytest.mark.parametrize("name", NAMES)
def test_docstrings_are_complete(name):
    for which, thing in with_members(name):
        if which in MADE or isinstance(thing, property):
            continue
        faults = validate(f"{thing.__module__}.{thing.__qualname__}")["errors"]
        assert [fault for fault in faults if fault[0] in FAULTS] == [], which


def test_examples_of_docstrings_are_right():
    ran = 0
    for name in NAMES:
        for which, thing in with_members(name):
            for test in doctest.DocTestFinder(recurse=False).find(thing, which, globs={"lambdaml": lambdaml}):
                result = doctest.DocTestRunner().run(test)
                assert result.failed == 0, which
                ran += result.attempted
    assert ran > 5
