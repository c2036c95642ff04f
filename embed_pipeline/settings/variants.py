"""Variants: other settings for the same home, declared beside the main ones in pipeline.yaml.

::

    variants:
      contracts: {corpus.path: contracts}      # dotted names
      thorough:
        finetune: {epochs: 3}                  # or sections, or both

What a variant does not set is as in the main settings.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

VARIED = ("base_model", "encoder", "corpus", "sdg", "prep", "finetune", "eval", "export", "deploy")
"""What may differ in a variant; everything else belongs to the installation."""
NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")


def spread(variants: Any) -> Any:
    """Variants with their dotted names as sections; what is no mapping is left to validation.

    Raises:
        ValueError: a name that cannot be one, or a setting that stands twice.
    """
    if variants is None:  # every line is commented out
        return {}
    if not isinstance(variants, Mapping):
        return variants
    found: dict[str, Any] = {}
    for name, values in variants.items():
        if not NAME.fullmatch(str(name)):
            raise ValueError(f"{name!r} cannot name a variant: small letters, digits and single _ between them")
        if values is not None and not isinstance(values, Mapping):
            raise ValueError(f"variant {name} must hold settings, such as finetune.epochs: 2")
        found[str(name)] = _sections(values or {}, str(name))
    return found


def dotted(values: Mapping[Any, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """``{"finetune": {"epochs": 2}}`` -> ``("finetune.epochs", 2)``, for every setting that is given."""
    for name, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from dotted(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _sections(values: Mapping[Any, Any], variant: str) -> dict[str, Any]:
    nested: dict[str, Any] = {}
    for name, value in dotted(values):
        *parents, last = name.split(".")
        section: Any = nested
        for parent in parents:
            section = section.setdefault(parent, {}) if isinstance(section, dict) else None
        if not isinstance(section, dict) or last in section:
            raise ValueError(f"variant {variant}: {name} stands twice")
        section[last] = value
    return nested
