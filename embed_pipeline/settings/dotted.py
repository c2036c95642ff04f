"""Dotted names of settings, ``finetune.epochs``, and the values behind them."""

from collections.abc import Mapping
from typing import Any


def flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """``{"finetune": {"epochs": 2}}`` -> ``{"finetune.epochs": 2}``; lists are values, and empty sections nothing."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        found |= flat(value, f"{prefix}{name}.") if isinstance(value, Mapping) else {f"{prefix}{name}": value}
    return found


def value_at(values: Any, name: str) -> Any:
    """The value of a dotted name, in settings or in what they are as JSON.

    Raises:
        KeyError, AttributeError: there is none of that name.
    """
    for part in name.split("."):
        values = values[part] if isinstance(values, Mapping) else getattr(values, part)
    return values
