"""What every section of the settings is, and which of its fields are part of an artifact's key.

Four kinds of setting, told apart by how they are declared:

* ``Field(...)``: always part of the key. Those that were there when the first homes were made; there are no new ones.
* :func:`added`: came later. Part of the key only where it differs from its default, so that a new setting leaves
  the keys of every home as they are; ``with_section=False``: only of stages that name it itself.
* :func:`runtime`: cannot change a result (device, executor, concurrency, where things lie), never part of it.
* :func:`formerly_keyed`: cannot change a result either (host and port), or only names what is part of the key by its
  content (the teacher), but stood in the keys of the first homes: its default stays there in its place, whatever its
  value.

What decides where data goes, whose secret is read, what code runs or which files are read is declared ``protected``
besides: see :mod:`embed_pipeline.settings.protected`.
"""

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Protected = Literal["address", "secret", "code", "model", "path", "money"]
"""Why a run of the launchpad must not set something: where data goes, whose secret is read, what code runs, which
model is loaded or asked (some are allowed), which files are read (some folders are allowed), what may be spent."""


def runtime(default: Any, description: str, *, protected: Protected | None = None, **constraints: Any) -> Any:
    """A setting that cannot change a result."""
    extra = {"in_key": False, **_protection(protected)}
    return Field(default, description=description, json_schema_extra=extra, **constraints)


_DEFAULT = object()


def added(
    default: Any,
    description: str,
    *,
    unkeyed: Any = _DEFAULT,
    with_section: bool = True,
    protected: Protected | None = None,
    **constraints: Any,
) -> Any:
    """A setting that can change a result and came after the first homes: in the key only where it is not ``unkeyed``.

    Args:
        unkeyed: the value that stays out of the key: what the pipeline did before there was this setting; the
            default unless given. To change the default later, pass the old one here, so that old keys keep their
            meaning.
        with_section: False keeps it out of the keys of stages that name its whole section; it counts for those that
            name the setting itself. For what only one later stage reads, so that the others are not computed anew.
    """
    extra = {"in_key": "unless", "unkeyed": default if unkeyed is _DEFAULT else unkeyed, **_protection(protected)}
    extra |= {} if with_section else {"with_section": False}
    return Field(default, description=description, json_schema_extra=extra, **constraints)


def formerly_keyed(default: Any, description: str, *, protected: Protected | None = None, **constraints: Any) -> Any:
    """A setting that cannot change a result, but stood in the keys of the first homes, where its default stays."""
    extra = {"in_key": "default", "keyed": default, **_protection(protected)}
    return Field(default, description=description, json_schema_extra=extra, **constraints)


def _protection(kind: Protected | None) -> dict[str, Any]:
    return {} if kind is None else {"protected": kind}


class Section(BaseModel):
    """Frozen; unknown keys are refused, and so are numbers that are none or infinite."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True, allow_inf_nan=False)


def sections_of(model: type[BaseModel]) -> dict[str, type[BaseModel]]:
    """The sections of a model by name."""
    kinds = {name: field.annotation for name, field in model.model_fields.items()}
    return {name: kind for name, kind in kinds.items() if isinstance(kind, type) and issubclass(kind, BaseModel)}


def protection(model: type[BaseModel], field: str) -> Protected | None:
    """Why a field is protected; None where it is not."""
    kind: Protected | None = _extra(model, field).get("protected")
    return kind


def in_key(model: type[BaseModel], field: str) -> bool:
    """Whether a field is part of keys at all."""
    return _extra(model, field).get("in_key") is not False


def can_change_results(model: type[BaseModel], field: str) -> bool:
    """Whether a result depends on the value of a field itself, not at most on what lies where it points."""
    return _extra(model, field).get("in_key") not in (False, "default")


def is_added(model: type[BaseModel], field: str) -> bool:
    """Whether a field came after the first homes."""
    return _extra(model, field).get("in_key") == "unless"


def with_section(model: type[BaseModel], field: str) -> bool:
    """Whether a stage that names a field's section has named the field too."""
    return _extra(model, field).get("with_section") is not False


def keyed(section: BaseModel) -> dict[str, Any]:
    """The fields of a section that are part of a key, as JSON values."""
    part: dict[str, Any] = {}
    for field in type(section).model_fields:
        part |= keyed_field(section, field) if with_section(type(section), field) else {}
    return part


def keyed_field(section: BaseModel, field: str) -> dict[str, Any]:
    """``{field: value}`` as it stands in a key; empty where the field stays out of it."""
    model = type(section)
    if not in_key(model, field):
        return {}
    extra = _extra(model, field)
    if extra.get("in_key") == "default":
        return {field: plain(extra["keyed"])}
    value = plain(getattr(section, field))
    if is_added(model, field) and value == plain(extra["unkeyed"]):
        return {}
    return {field: value}


def plain(value: Any) -> Any:
    """A value as it stands in a key: paths are text, tuples lists, sections what is keyed of them."""
    if isinstance(value, BaseModel):
        return keyed(value)
    return str(value) if isinstance(value, Path) else list(value) if isinstance(value, tuple) else value


def _extra(model: type[BaseModel], field: str) -> dict[str, Any]:
    extra = model.model_fields[field].json_schema_extra
    return dict(extra) if isinstance(extra, dict) else {}
