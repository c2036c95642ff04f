"""Which settings are not those of a profile, and where they come from: for the record of a run."""

import shutil
import subprocess
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pydantic import BaseModel

from embed_pipeline.settings.dotted import flat
from embed_pipeline.settings.pipeline import Settings
from embed_pipeline.settings.section import can_change_results, protection, sections_of
from embed_pipeline.settings.sources import PROFILES, load_settings

GIT_SECONDS = 5.0
ALLOWANCES = "launchpad."
"""They say which models a run may use, not which one it uses."""


def changed_settings(settings: Settings) -> dict[str, Any]:
    """``{"profile": name, "settings": {dotted name: value}}``: the profile they are closest to, and what differs.

    Of an address only scheme, host and path are told: people write keys behind them.
    """
    own = flat(settings.model_dump(mode="json"))
    found: dict[str, dict[str, Any]] = {}
    for profile in PROFILES:
        usual = _profile_settings(profile)
        found[profile] = {name: _told(name, value) for name, value in own.items() if value != usual.get(name)}
    closest = min(PROFILES, key=lambda profile: len(found[profile]))
    return {"profile": closest, "settings": found[closest]}


def changed_since(record: Mapping[str, Any], settings: Settings) -> dict[str, tuple[Any, Any]]:
    """Settings that can change a result and are not those of a run: dotted name -> (then, now).

    Args:
        record: of the run, with what :func:`changed_settings` said of it; one without leaves nothing to be compared.
        settings: those of now.
    """
    profile = record.get("profile")
    if profile not in PROFILES:
        return {}
    then = _profile_settings(profile) | dict(record["settings"])
    now = {name: _told(name, value) for name, value in flat(settings.model_dump(mode="json")).items()}
    deciding = tuple(f"{name}." for name in _deciding(Settings) if not name.startswith(ALLOWANCES))
    names = [name for name in {**then, **now} if f"{name}.".startswith(deciding)]  # a dictionary has names of its own
    return {name: (then.get(name), now.get(name)) for name in names if then.get(name) != now.get(name)}


def changed_between(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, tuple[Any, Any]] | None:
    """Every setting that differs between two runs: dotted name -> (before, after).

    Args:
        before, after: records of runs, with what :func:`changed_settings` said of them.

    Returns:
        None where one of the records does not tell its settings.
    """
    if {before.get("profile"), after.get("profile")} - set(PROFILES):
        return None
    one, other = _recorded(before), _recorded(after)
    names = sorted({**one, **other})
    return {name: (one.get(name), other.get(name)) for name in names if one.get(name) != other.get(name)}


def _recorded(record: Mapping[str, Any]) -> dict[str, Any]:
    """Every setting of a run: those of its profile, but for what differed."""
    return _profile_settings(record["profile"]) | dict(record["settings"])


@cache
def _profile_settings(profile: str) -> dict[str, Any]:
    return flat(load_settings(None, profile, (), {}).model_dump(mode="json"))


def _deciding(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """Settings that can change a result: by what they are, or by what lies where they point."""
    sections = sections_of(model)
    for field in model.model_fields:
        if field in sections:
            yield from _deciding(sections[field], f"{prefix}{field}.")
        elif can_change_results(model, field) or protection(model, field) in ("path", "model"):
            yield f"{prefix}{field}"


def git_revision(file: str | Path | None) -> str | None:
    """The commit of the folder of a settings file, with "-dirty" where the file is not as committed; None: no git."""
    git = shutil.which("git")
    if not file or git is None or not Path(file).is_file():
        return None
    folder, name = Path(file).resolve().parent, Path(file).name
    revision = _output([git, "-C", str(folder), "rev-parse", "HEAD"])
    if not revision:
        return None
    return f"{revision}-dirty" if _output([git, "-C", str(folder), "status", "--porcelain", "--", name]) else revision


def _output(command: list[str]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=GIT_SECONDS, check=True)
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()


def _told(name: str, value: Any) -> Any:
    if name.endswith("base_url") and isinstance(value, str):
        address = urlsplit(value)
        return f"{address.scheme}://{address.hostname}{f':{address.port}' if address.port else ''}{address.path}"
    return value
