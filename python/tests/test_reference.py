"""The reference, and what the docstrings say."""

import inspect
import pathlib
import sys

import pytest
from numpydoc.docscrape import NumpyDocString

import lambdaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "python" / "docs"))

import reference  # noqa: E402

NAMES = [name for names in reference.NAMES.values() for name in names]


def test_the_reference_is_that_of_the_docstrings():
    assert (ROOT / "docs" / "python-api.md").read_text() == reference.reference(), (
        "write it again: PYTHONPATH=build/release/python python3 python/docs/reference.py > docs/python-api.md"
    )


def test_all_public_names_are_in_it():
    named = {name.split(".")[0] for name in NAMES} - {"torch"}
    assert named == set(lambdaml.__all__) - {"__version__"}


@pytest.mark.parametrize("name", NAMES)
def test_docstrings_name_the_parameters_that_there_are(name):
    thing = reference.thing_of(name)
    things = [(name, thing)]
    if inspect.isclass(thing):
        things += [(f"{name}.{own}", member) for own, member in reference.all_members(thing)]
    for name, thing in things:
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
