"""Settings as they were read once, for processes that must not read them anew."""

import json
from pathlib import Path

from embed_pipeline.errors import SettingsError
from embed_pipeline.files import sha256_json, write_json
from embed_pipeline.settings import Settings

VARIABLE = "EMBED_PIPELINE_SETTINGS"
"""Environment variable that names the file; it wins over every other source."""


def write_snapshot(settings: Settings, folder: Path) -> Path:
    """Write the settings into ``folder``, under a name made of their content."""
    values = settings.model_dump(mode="json")
    path = folder / f"settings-{sha256_json(values)[:16]}.json"
    if not path.is_file():
        write_json(path, values)
    return path


def read_snapshot(path: Path) -> Settings:
    """The settings of a file that :func:`write_snapshot` wrote.

    Raises:
        SettingsError: the file is gone or damaged.
    """
    try:
        return Settings.model_validate(json.loads(path.read_text("utf-8")))
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise SettingsError(f"{path}: cannot be used ({reason}); stop embed-pipeline ui and start it again.") from None
