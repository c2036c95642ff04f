"""Settings that name files and folders: relative to where they were written, whoever reads them later."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from embed_pipeline.errors import SettingsError
from embed_pipeline.settings.finetune import HYBRID
from embed_pipeline.text.addresses import is_address

PLACES = (
    *("corpus.path", "sdg.import_from", "sdg.prompts"),
    *("eval.gold", "eval.gold_sets", "eval.general", "eval.query_log"),
)
"""Settings that name files or folders."""
ADDRESSABLE = "corpus.path"
"""The one of them that may be an address."""
CANDIDATES = "eval.candidates"
MODELS = ("base_model", "finetune.teacher", "finetune.reranker_model", "prep.cross_encoder", CANDIDATES)
"""Settings that name a folder or something else."""


def anchor(values: dict[str, Any], folder: Path) -> None:
    """Make what settings name relative to ``folder`` absolute, in place.

    Raises:
        SettingsError: a text that cannot be a path; names the setting.
    """
    for name, owner, key in _named_in(values, PLACES):
        if name == ADDRESSABLE and is_address(owner[key]):
            continue  # the same in every folder; whether it can be one is decided by the section
        owner[key] = str(_path(name, owner[key], folder))
    for name, owner, key in _named_in(values, MODELS):
        model = _path(name, owner[key], folder) if owner[key].strip() and owner[key] != HYBRID else None
        if model is not None and model.is_dir():  # else a hub id, a package, an address, or the base model with BM25
            owner[key] = str(model)


def named_absolutely(values: dict[str, Any]) -> list[str]:
    """Overrides for the absolute paths that settings name; such a path is never taken for anything but text."""
    single = [name for name in (*PLACES, *MODELS) if name != CANDIDATES]
    found = [
        f"{name}={owner[key]}"
        for name, owner, key in _named_in(values, single)
        if Path(owner[key]).is_absolute() or (name == ADDRESSABLE and is_address(owner[key]))
    ]
    candidates = _value(values, CANDIDATES)[1]
    return [*found, f"{CANDIDATES}={json.dumps(candidates)}"] if isinstance(candidates, list) else found


def _named_in(values: dict[str, Any], names: Iterable[str]) -> Iterator[tuple[str, Any, Any]]:
    """(name, what holds the text, its key) of those dotted names that have one; of a mapping or list each text."""
    for name in names:
        owner, found = _value(values, name)
        if isinstance(found, str):
            yield name, owner, name.rpartition(".")[2]
        elif isinstance(found, dict):
            yield from ((f"{name}.{key}", found, key) for key in found if isinstance(found[key], str))
        elif isinstance(found, list):
            yield from ((name, found, place) for place, text in enumerate(found) if isinstance(text, str))


def _value(values: dict[str, Any], name: str) -> tuple[Any, Any]:
    """The section of a dotted name, and what it holds there; None where there is none."""
    section, _, key = name.rpartition(".")
    owner = values.get(section) if section else values
    return owner, owner.get(key) if isinstance(owner, dict) else None


def _path(name: str, text: str, folder: Path) -> Path:
    if not text:
        raise SettingsError(f"{name} is empty: name a file or a folder, or leave the setting out.")
    try:
        path = (folder / Path(text).expanduser()).resolve()
        path.exists()
    except (OSError, RuntimeError, ValueError) as error:  # too long; no such user; NUL or half a character
        reason = str(getattr(error, "strerror", None) or error).rstrip(".")
        raise SettingsError(f"{name}: {text[:80]!r} cannot be a path: {reason}.") from None
    return path
