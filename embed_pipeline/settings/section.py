"""What every section of the settings is, and which of its fields are part of an artifact's key."""

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field


def runtime(default: Any, description: str, **constraints: Any) -> Any:
    """A setting that cannot change a result."""
    return Field(default, description=description, json_schema_extra={"in_key": False}, **constraints)


class Section(BaseModel):
    """Frozen; unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)


def sections_of(model: type[BaseModel]) -> dict[str, type[BaseModel]]:
    """The sections of a model by name."""
    kinds = {name: field.annotation for name, field in model.model_fields.items()}
    return {name: kind for name, kind in kinds.items() if isinstance(kind, type) and issubclass(kind, BaseModel)}


def in_key(model: type[BaseModel], field: str) -> bool:
    """Whether a field can change a result."""
    extra = model.model_fields[field].json_schema_extra
    return not (isinstance(extra, dict) and extra.get("in_key") is False)


def keyed(section: BaseModel) -> dict[str, Any]:
    """The fields of a section that can change a result, as JSON values."""
    part: dict[str, Any] = {}
    for field in type(section).model_fields:
        if in_key(type(section), field):
            value = getattr(section, field)
            part[field] = keyed(value) if isinstance(value, BaseModel) else plain(value)
    return part


def plain(value: Any) -> Any:
    """A value as it stands in a key: paths are text, tuples lists."""
    return str(value) if isinstance(value, Path) else list(value) if isinstance(value, tuple) else value
