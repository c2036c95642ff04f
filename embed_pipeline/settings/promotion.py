"""Taking over what was tried: overrides of one run become lines of the settings file."""

from collections.abc import Sequence
from typing import Any

from embed_pipeline.errors import SettingsError
from embed_pipeline.settings.pipeline import Settings
from embed_pipeline.settings.sources import with_overrides


def override_values(settings: Settings, overrides: Sequence[str]) -> dict[str, Any]:
    """What overrides say, as it is written into a settings file: dotted setting -> plain value.

    Args:
        settings: those that the overrides were made over.
        overrides: ``section.key=value``; the last one of a setting counts.

    Raises:
        SettingsError: one is unknown, or does not fit.
    """
    wanted = with_overrides(settings, overrides).model_dump(mode="json")
    names = [override.partition("=")[0].strip() for override in overrides]
    return {name: _at(wanted, name) for name in dict.fromkeys(names)}


def refuse_hidden(values: dict[str, Any], given: Sequence[str], where: str) -> None:
    """Refuse to write settings that what is given besides the file (``--set``, ``--corpus``) would hide.

    Raises:
        SettingsError: names the setting.
    """
    for override in given:
        name = override.partition("=")[0].strip()
        hidden = [one for one in values if f"{one}.".startswith(f"{name}.") or f"{name}.".startswith(f"{one}.")]
        if hidden:
            raise SettingsError(f"--set {name}: would hide {hidden[0]} of {where}; leave it out to promote.")


def _at(values: Any, name: str) -> Any:
    for part in name.split("."):
        values = values[part]
    return values
