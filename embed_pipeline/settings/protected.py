"""Settings that a run of the web UI's launchpad must not change.

Whoever can open the launchpad could otherwise send the corpus to a server of theirs, have another secret of the
environment sent along, or run the code of a model. Such settings are declared ``protected`` and come from the settings
file, the environment and the command line alone.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from embed_pipeline.errors import SettingsError
from embed_pipeline.settings.dotted import value_at
from embed_pipeline.settings.pipeline import Settings
from embed_pipeline.settings.section import Protected, protection, sections_of
from embed_pipeline.settings.sources import with_overrides
from embed_pipeline.text.addresses import is_address

LAUNCHPAD = "overrides of the launchpad:"
"""Where they are typed, for errors."""
_PATTERNS = (".include", ".exclude")
REASONS: dict[Protected, str] = {
    "address": "decides where data goes",
    "secret": "decides whose secret is read",  # pragma: allowlist secret
    "code": "decides what code runs",
    "model": "decides which model is used",
    "path": "decides which files are read",
    "money": "decides what may be spent",
}


def refuse_protected(settings: Settings, overrides: Sequence[str], home: Path | None = None) -> None:
    """Check the overrides of one run.

    What counts is the outcome, however an override is written: a section given whole, a value that is the one in use.

    Args:
        settings: those in use.
        overrides: ``section.key=value``.
        home: files below it may be read, like those below ``corpus.path``.

    Raises:
        SettingsError: one changes a protected setting; names it. Or as :func:`with_overrides`.
    """
    protected = dict(protected_settings())
    try:
        wanted = with_overrides(settings, overrides, LAUNCHPAD)
    except SettingsError:
        for name in (override.partition("=")[0].strip() for override in overrides):
            if name in protected:  # which is the reason that helps
                raise _refusal(name, protected[name]) from None
        raise
    for name, kind in protected.items():
        before, after = value_at(settings, name), value_at(wanted, name)
        if before != after and not _may_be_chosen(kind, settings, after, home):
            raise _refusal(name, kind)


def _refusal(name: str, kind: Protected) -> SettingsError:
    return SettingsError(
        f"{name} {REASONS[kind]} and cannot be changed for one run in the launchpad. {_advice(kind, name)}"
    )


def protected_settings(model: type[BaseModel] = Settings, prefix: str = "") -> Iterator[tuple[str, Protected]]:
    """Dotted name and kind of every protected setting."""
    sections = sections_of(model)
    for field in model.model_fields:
        if field in sections:
            yield from protected_settings(sections[field], f"{prefix}{field}.")
        elif (kind := protection(model, field)) is not None:
            yield f"{prefix}{field}", kind


def _may_be_chosen(kind: Protected, settings: Settings, value: Any, home: Path | None) -> bool:
    if kind == "model":
        return value is None or value in {*settings.launchpad.models, *_models_in_use(settings)}
    if kind == "path" and not isinstance(value, tuple):
        folders = [folder.resolve() for folder in (settings.corpus.folder, home) if folder is not None]
        named = value.values() if isinstance(value, dict) else () if value is None else (value,)
        if any(is_address(str(one)) for one in named):
            return False  # another address is another place
        return all(any(Path(one).resolve().is_relative_to(folder) for folder in folders) for one in named)
    return False


def _models_in_use(settings: Settings) -> set[str]:
    found = {value_at(settings, name) for name, kind in protected_settings() if kind == "model"}
    return {value for value in found if isinstance(value, str)}


def _advice(kind: Protected, name: str) -> str:
    usual = "Change it in the settings file, or with --set on the command line."
    if kind == "model":
        return f"List the model in launchpad.models of the settings file. {usual.replace('it', name, 1)}"
    if kind == "path" and not name.endswith(_PATTERNS):
        return f"Name something inside of corpus.path. {usual.replace('it', name, 1)}"
    return usual
