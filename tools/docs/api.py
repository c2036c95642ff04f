"""What ``import embed_pipeline`` offers, from its docstrings."""

import inspect
import re
from typing import Any

import embed_pipeline
from tools.docs.markdown import docstring, plain

LIBRARY = """# The library

[From a notebook](../notebook.md) shows the whole way by example; the test suite runs it."""


def api_page() -> str:
    """What ``import embed_pipeline`` offers: functions first, then the types they take and give."""
    offered = {name: getattr(embed_pipeline, name) for name in embed_pipeline.__all__}
    functions = {name: thing for name, thing in offered.items() if not inspect.isclass(thing)}
    types = {name: thing for name, thing in offered.items() if inspect.isclass(thing)}
    parts = [LIBRARY, plain(inspect.cleandoc(embed_pipeline.__doc__ or ""))]
    parts += [f"## {name}\n\n{_function(name, thing)}" for name, thing in functions.items()]
    parts += [f"## {name}\n\n{_class(thing)}" for name, thing in types.items()]
    return "\n\n".join(parts)


def _function(name: str, function: Any) -> str:
    return f"```python\n{name}{_signature(function)}\n```\n\n{docstring(inspect.getdoc(function) or '')}"


def _signature(function: Any) -> str:
    """As people write it: names without their modules, a long one with a parameter a line."""
    text = str(inspect.signature(function))
    text = re.sub(r"\b(?:\w+\.)+(?=[A-Z])", "", text)  # modules
    text = re.sub(r"numpy\.ndarray\[tuple\[Any, \.\.\.\], numpy\.dtype\[numpy\.(\w+)\]\]", r"NDArray[\1]", text)
    text = re.sub(r"(: |-> )'([^']+)'", r"\1\2", text)  # annotations that are text
    if len(text) <= 80:
        return text
    start = re.compile(r"(?:(?<=^\()|(?<=, ))(?=\*|\w+: )")
    return start.sub("\n    ", text).replace(") ->", "\n) ->").replace(", \n", ",\n")


def _class(kind: Any) -> str:
    """Docstring, and its own public methods."""
    methods = {name: one for name, one in vars(kind).items() if inspect.isfunction(one) and not name.startswith("_")}
    shown = [_function(f"{kind.__name__}.{name}", one) for name, one in methods.items() if one.__doc__]
    return "\n\n".join([docstring(inspect.getdoc(kind) or ""), *shown])
