"""Taking over what was tried: overrides of one run, or a variant, become lines of the settings file."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from embed_pipeline.errors import SettingsError
from embed_pipeline.settings.dotted import value_at
from embed_pipeline.settings.pipeline import Settings
from embed_pipeline.settings.settings_yaml import read_yaml
from embed_pipeline.settings.sources import with_overrides
from embed_pipeline.settings.variants import dotted, spread


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
    return {name: value_at(wanted, name) for name in dict.fromkeys(names)}


def refuse_hidden(values: Mapping[str, Any], given: Mapping[str, str], where: str) -> None:
    """Refuse to write settings that what is given besides the file would hide.

    Args:
        values: what is to be written.
        given: dotted setting -> where it is given (``--set``, ``--corpus``, the environment).

    Raises:
        SettingsError: names the setting and the place.
    """
    for name, place in given.items():
        hidden = [one for one in values if f"{one}.".startswith(f"{name}.") or f"{name}.".startswith(f"{one}.")]
        if hidden:
            raise SettingsError(f"{place}: would hide {hidden[0]} of {where}; leave it out to promote.")


def variant_values(file: Path, variant: str) -> dict[str, Any]:
    """What a settings file declares of a variant, as it stands there: dotted setting -> value.

    Raises:
        SettingsError: it declares no such variant.
    """
    declared = spread((read_yaml(file.read_text("utf-8"), str(file)) or {}).get("variants") or {})
    if variant not in declared:
        raise SettingsError(f"{file}: declares no variant {variant}, so it cannot be promoted there.")
    return dict(dotted(declared[variant]))
