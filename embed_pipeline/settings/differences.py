"""Which settings are not those of a profile, and where they come from: for the record of a run."""

import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from embed_pipeline.settings.pipeline import Settings
from embed_pipeline.settings.sources import PROFILES, load_settings

GIT_SECONDS = 5.0


def changed_settings(settings: Settings) -> dict[str, Any]:
    """``{"profile": name, "settings": {dotted name: value}}``: the profile they are closest to, and what differs.

    Of an address only scheme, host and path are told: people write keys behind them.
    """
    own = _flat(settings.model_dump(mode="json"))
    found: dict[str, dict[str, Any]] = {}
    for profile in PROFILES:
        usual = _flat(load_settings(None, profile, (), {}).model_dump(mode="json"))
        found[profile] = {name: _told(name, value) for name, value in own.items() if value != usual.get(name)}
    closest = min(PROFILES, key=lambda profile: len(found[profile]))
    return {"profile": closest, "settings": found[closest]}


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


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in values.items():
        found |= _flat(value, f"{prefix}{name}.") if isinstance(value, Mapping) else {f"{prefix}{name}": value}
    return found
