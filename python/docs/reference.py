"""Writes docs/reference/python-api.md, the reference of the Python package, from its docstrings.

As: PYTHONPATH=build/release/python python3 python/docs/reference.py > docs/reference/python-api.md
"""

import importlib
import inspect
import re
import textwrap
import warnings

WIDTH = 120
HEAD = """# Python: reference

Made of the docstrings by `python/docs/reference.py`; a test compares them. [python.md](../how-to/python.md) begins with
examples.
"""
# In this order; what a class has besides is that of scikit-learn's base classes.
NAMES = {
    "Jobs": ["train", "resume", "predict", "Run", "Model", "ConvergenceWarning"],
    "Data": ["Dataset", "Stream"],
    "Searches": ["tune", "Search"],
    "Estimators": ["LogisticRegression", "LinearSVC", "Ridge", "Lasso", "KMeans"],
    "PyTorch": ["torch.train", "torch.TorchRun"],
    "Stores": ["storage.open", "storage.Store"],
    "AWS Lambda": ["package", "deploy", "destroy", "emulate"],
    "Errors": [
        "Error", "InvalidArgument", "NotFound", "AlreadyExists", "DataCorrupt", "PermissionDenied", "ResourceExhausted",
        "Unavailable", "DeadlineExceeded", "WorkersLost", "Diverged", "LimitReached", "Cancelled", "Internal",
    ],
}  # fmt: skip


def thing_of(name):
    module, _, last = ("lambdaml." + name).rpartition(".")
    return getattr(importlib.import_module(module), last)


def markdown(text):
    """A docstring's text: roles of Sphinx as code."""
    text = re.sub(r":(?:class|func|meth):`~?([^`]*)`", r"`\1`", text)
    return text.replace("``", "`")


def wrapped(text, indent=""):
    paragraphs = re.split(r"\n\s*\n", markdown(text).strip())
    return "\n\n".join(
        textwrap.fill(
            " ".join(paragraph.split()), WIDTH, initial_indent=indent, subsequent_indent=indent,
            break_long_words=False, break_on_hyphens=False,
        )
        for paragraph in paragraphs
    )  # fmt: skip


def items(entries):
    lines = []
    for entry in entries:
        head = f"- **`{entry.name}`**" if entry.name else "-"
        kind = markdown(entry.type)
        if not entry.name and kind:
            head = f"- `{kind}`"
        elif kind:
            head += f" ({kind})"
        said = " ".join(markdown(" ".join(entry.desc)).split())
        if said:
            head += f": {said}"
        lines.append(
            textwrap.fill(head, WIDTH, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)
        )
    return "\n".join(lines)


def described(thing, title, level):
    from numpydoc.docscrape import NumpyDocString

    doc = NumpyDocString(inspect.getdoc(thing) or "")
    out = ["#" * level + f" {title}"]
    if not inspect.isclass(thing) and callable(thing):
        out.append(textwrap.fill(f"`{thing.__name__}{signature(thing)}`", WIDTH, break_long_words=False, break_on_hyphens=False))
    elif inspect.isclass(thing) and doc["Parameters"]:
        out.append(
            textwrap.fill(f"`{thing.__name__}{signature(thing)}`", WIDTH, break_long_words=False, break_on_hyphens=False)
        )
    out += [wrapped("\n".join(doc[part])) for part in ("Summary", "Extended Summary") if doc[part]]
    for part in ("Parameters", "Attributes", "Returns", "Yields", "Raises"):
        if doc[part]:
            out += [f"*{part}*", items(doc[part])]
    if doc["Examples"]:
        example = re.sub(r" *# doctest: .*", "", "\n".join(doc["Examples"])).strip()
        out.append("```python\n" + example + "\n```")
    return out


def signature(thing):
    """Without types, which the docstring says for readers."""
    try:
        there = inspect.signature(thing)
    except (TypeError, ValueError):
        return "()"
    bare = [each.replace(annotation=inspect.Parameter.empty) for each in there.parameters.values()]
    text = str(there.replace(parameters=bare, return_annotation=inspect.Signature.empty))
    return re.sub(r"^\((self|cls)(, )?", "(", text)


def members(kind):
    """Public methods and properties that a class itself says something about."""
    for name, member in vars(kind).items():
        if name.startswith("_"):
            continue
        if isinstance(member, (classmethod, staticmethod)):
            member = member.__func__
        if isinstance(member, property):
            if member.__doc__:
                yield name, member
        elif inspect.isfunction(member) and member.__doc__:
            yield name, member


def all_members(kind):
    """Those of its own, and of the package's private bases."""
    seen = {}
    for base in kind.__mro__:
        if base is kind or (base.__module__.startswith("lambdaml.") and base.__name__.startswith("_")) or base.__name__ == "Work":
            for name, member in members(base):
                seen.setdefault(name, member)
    return seen.items()


def reference():
    out = [HEAD.strip()]
    for title, names in NAMES.items():
        out.append(f"## {title}")
        for name in names:
            thing = thing_of(name)
            if inspect.isclass(thing) and issubclass(thing, Exception):
                usual = [base.__name__ for base in thing.__mro__[1:] if base.__module__ == "builtins"][:1]
                out += described(thing, f"`{name}`", 3)
                if usual != ["Exception"]:
                    out.append(f"Also a `{usual[0]}`.")
                continue
            out += described(thing, f"`{name}`", 3)
            if inspect.isclass(thing):
                for own, member in all_members(thing):
                    title_of_member = f"`{name.rpartition('.')[2]}.{own}`"
                    if isinstance(member, property):
                        out += ["#" * 4 + " " + title_of_member, wrapped(inspect.getdoc(member).split("\n\n")[0])]
                    else:
                        out += described(member, title_of_member, 4)
    return "\n\n".join(out) + "\n"


if __name__ == "__main__":
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        print(reference(), end="")
