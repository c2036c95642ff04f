"""The prompts: text files under ``prompts/`` that one can read and edit (Jinja2)."""

import functools
from importlib import resources
from importlib.resources.abc import Traversable
from typing import Any

import jinja2

from embed_pipeline.files import sha256_bytes, sha256_json, sha256_text


def render(name: str, **values: Any) -> str:
    """The text of ``prompts/<name>.md`` with its values put in; a missing value is an error.

    Values are put in as they are: a value is never itself read as a template.
    """
    return _environment().get_template(name).render(values).strip()


def prompts_fingerprint() -> str:
    """Hash over every prompt file; part of the key of what the prompts produce."""
    return sha256_json({file.name: sha256_bytes(file.read_bytes()) for file in _files()})


def boundary(*texts: str) -> str:
    """A delimiter for untrusted text that the text itself cannot contain on purpose: a hash of it."""
    return "DATA-" + sha256_text("\0".join(texts))[:12]


@functools.cache
def _environment() -> jinja2.Environment:
    templates = {file.name.removesuffix(".md"): file.read_text("utf-8") for file in _files()}
    loader = jinja2.DictLoader(templates)
    # Plain text for a language model, not HTML: nothing is to be escaped.
    return jinja2.Environment(loader=loader, undefined=jinja2.StrictUndefined, autoescape=False)  # noqa: S701


def _files() -> list[Traversable]:
    folder = resources.files("embed_pipeline").joinpath("sdg", "prompts")
    return sorted((file for file in folder.iterdir() if file.name.endswith(".md")), key=lambda file: file.name)
