"""The prompts: text files under ``prompts/`` that one can read and edit (Jinja2).

``sdg.prompts`` names a folder with files of one's own; what it lacks comes from the package.
"""

import contextvars
import functools
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import resources
from pathlib import Path
from typing import Any

import jinja2
from jinja2 import meta
from jinja2.exceptions import SecurityError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from embed_pipeline.errors import SettingsError
from embed_pipeline.files import sha256_json, sha256_text, write_text

_active: contextvars.ContextVar[jinja2.Environment | None] = contextvars.ContextVar("prompts", default=None)


def render(name: str, **values: Any) -> str:
    """The text of ``<name>.md`` with its values put in; a missing value is an error.

    Values are put in as they are: a value is never itself read as a template. A template runs in a sandbox.

    Raises:
        SettingsError: an edited prompt asks for more than the values it is given.
    """
    try:
        return (_active.get() or _shipped_environment()).get_template(name).render(values).strip()
    except SecurityError as error:
        raise SettingsError(
            f"sdg.prompts: {name}.md cannot be filled in ({error}). A prompt may only put in the values it is given; "
            "embed-pipeline prompts --to FOLDER writes the originals."
        ) from None


@contextmanager
def using_prompts(folder: Path | None) -> Iterator[None]:
    """Let the prompts of ``folder`` stand in for those of the package inside the block.

    Raises:
        SettingsError: see :func:`prompt_texts`.
    """
    token = _active.set(_plain(prompt_texts(folder)))
    try:
        yield
    finally:
        _active.reset(token)


def prompt_texts(folder: Path | None = None) -> dict[str, str]:
    """Every prompt by name, those of ``folder`` first.

    Raises:
        SettingsError: the folder is missing, holds a file that is no prompt, is no valid template, or names
            a value that the prompt is not given.
    """
    texts = dict(_shipped())
    if folder is None:
        return texts
    if not folder.is_dir():
        raise SettingsError(
            f"sdg.prompts: there is no folder {folder}. embed-pipeline prompts --to {folder} writes one to edit."
        )
    for file in sorted(folder.glob("*.md")):
        if file.stem not in texts:
            raise SettingsError(f"{file}: is no prompt; there are {', '.join(sorted(texts))}. Rename or remove it.")
        try:
            own = file.read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise SettingsError(f"{file}: cannot be read as UTF-8 text: {error}.") from None
        _check(file, own, texts[file.stem])
        texts[file.stem] = own
    return texts


def prompts_fingerprint(folder: Path | None = None) -> str:
    """Hash over every prompt; part of the key of what the prompts produce."""
    return sha256_json(prompt_texts(folder))


def write_prompts(folder: Path) -> list[Path]:
    """Write every prompt of the package that ``folder`` lacks, to be edited; the files written."""
    folder.mkdir(parents=True, exist_ok=True)
    missing = {folder / f"{name}.md": text for name, text in _shipped().items() if not (folder / f"{name}.md").exists()}
    for path, text in missing.items():
        write_text(path, text)
    return list(missing)


def boundary(*texts: str) -> str:
    """A delimiter for untrusted text that the text itself cannot contain on purpose: a hash of it."""
    return "DATA-" + sha256_text("\0".join(texts))[:12]


@functools.cache
def _shipped() -> Mapping[str, str]:
    folder = resources.files("embed_pipeline").joinpath("llm", "prompts")
    files = sorted((file for file in folder.iterdir() if file.name.endswith(".md")), key=lambda file: file.name)
    return {file.name.removesuffix(".md"): file.read_text("utf-8") for file in files}


@functools.cache
def _shipped_environment() -> jinja2.Environment:
    return _plain(_shipped())


def _plain(templates: Mapping[str, str]) -> jinja2.Environment:
    """Prompts may come from anywhere: in the sandbox, and without Jinja's own functions, they run no code.

    Plain text for a language model, not HTML: nothing is to be escaped.
    """
    environment = ImmutableSandboxedEnvironment(
        loader=jinja2.DictLoader(templates),
        undefined=jinja2.StrictUndefined,
        autoescape=False,
    )
    environment.globals.clear()
    return environment


def _check(file: Path, own: str, shipped: str) -> None:
    """An edited prompt may use the values its original is given, and no others."""
    given = _values(shipped)
    try:
        unknown = _values(own) - given
    except jinja2.TemplateSyntaxError as error:
        raise SettingsError(f"{file}, line {error.lineno}: not a valid template: {error.message}.") from None
    if unknown:
        raise SettingsError(
            f"{file}: {{{{ {min(unknown)} }}}} is not a value of this prompt; it is given {', '.join(sorted(given))}."
        )


def _values(text: str) -> set[str]:
    environment = _plain({})
    included = {"passages", "boundary"} if 'include "passages"' in text else set()
    return meta.find_undeclared_variables(environment.parse(text)) | included
