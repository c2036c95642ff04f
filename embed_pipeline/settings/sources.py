"""Where settings come from: one YAML file over a profile, the environment and the command line over both.

Precedence: ``--set section.key=value``, then ``EMBED_PIPELINE__SECTION__KEY``, then the file, then the profile.
"""

import difflib
import os
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import pydantic
import yaml
from pydantic import BaseModel

from embed_pipeline.errors import SettingsError
from embed_pipeline.settings import Section, Settings, sections_of

ENVIRONMENT_PREFIX = "EMBED_PIPELINE__"
PROFILES = ("cpu", "gpu")


def load_settings(
    file: Path | None = None,
    profile: str | None = None,
    overrides: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
) -> Settings:
    """Read settings from profile, file, environment and ``section.key=value`` overrides.

    Relative paths in the file are relative to the file, others to the working folder. The file may name its
    profile itself (``profile:``); ``profile`` given here wins.

    Raises:
        SettingsError: unknown key (names the nearest), wrong type, contradiction, unreadable file.
    """
    from_file = _read_file(file) if file is not None else {}
    named = profile or from_file.pop("profile", None) or "cpu"
    from_file.pop("profile", None)
    values = _read_profile(str(named))
    _merge(values, from_file)
    _merge(values, _from_environment(os.environ if environment is None else environment))
    for override in overrides:
        _merge(values, _from_override(override))
    return _validated(values, file)


def with_overrides(settings: Settings, overrides: Sequence[str]) -> Settings:
    """A copy with ``section.key=value`` overrides applied.

    Raises:
        SettingsError: as :func:`load_settings`.
    """
    values = settings.model_dump()
    for override in overrides:
        _merge(values, _from_override(override))
    return _validated(values, None)


def _validated(values: Mapping[str, Any], file: Path | None) -> Settings:
    try:
        return Settings.model_validate(values)
    except pydantic.ValidationError as error:
        raise SettingsError(_explain(error, file)) from None


def _read_profile(name: str) -> dict[str, Any]:
    if name not in PROFILES:
        raise SettingsError(f"profile {name!r} is unknown{_nearest(name, PROFILES)}; there are: {', '.join(PROFILES)}.")
    text = resources.files("embed_pipeline").joinpath("settings", "profiles", f"{name}.yaml").read_text("utf-8")
    values: dict[str, Any] = yaml.safe_load(text) or {}
    return values


def _read_file(file: Path) -> dict[str, Any]:
    try:
        values = yaml.safe_load(file.read_text("utf-8"))
    except FileNotFoundError:
        raise SettingsError(f"{file}: there is no such settings file.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{file}: cannot be read: {error}.") from None
    except yaml.YAMLError as error:
        raise SettingsError(f"{file}: not valid YAML: {' '.join(str(error).split())}") from None
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise SettingsError(f"{file}: must hold sections such as corpus: or finetune:, not a {type(values).__name__}.")
    return _anchored(values, file.parent)


def _anchored(values: dict[str, Any], folder: Path) -> dict[str, Any]:
    for name, key in (("corpus", "path"), ("sdg", "import_from"), ("sdg", "prompts"), ("eval", "gold")):
        section = values.get(name)
        if isinstance(section, dict) and isinstance(section.get(key), str):
            section[key] = str((folder / Path(section[key]).expanduser()).resolve())
    model = folder / Path(str(values.get("base_model"))).expanduser()
    if "base_model" in values and model.is_dir():  # else a hub id or a package
        values["base_model"] = str(model.resolve())
    return values


def _from_environment(environment: Mapping[str, str]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name in sorted(environment):
        if name.startswith(ENVIRONMENT_PREFIX):
            parts = [part.lower() for part in name.removeprefix(ENVIRONMENT_PREFIX).split("__")]
            _merge(values, _nest(parts, _parse(environment[name], parts)))
    return _anchored(values, Path.cwd())


def _from_override(override: str) -> dict[str, Any]:
    name, equals, text = override.partition("=")
    if not equals or not name.strip():
        raise SettingsError(f"--set {override}: must look like section.key=value.")
    parts = name.strip().split(".")
    return _anchored(_nest(parts, _parse(text, parts)), Path.cwd())


def _parse(text: str, parts: Sequence[str]) -> Any:
    """The value of a setting given as text; text settings are taken verbatim ("query: ", "007", "12e4")."""
    quoted = len(text) > 1 and text[0] == text[-1] and text[0] in "'\""
    if _is_text(parts) and not quoted and text not in ("", "null", "~"):
        return text
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError:
        return text
    # YAML 1.1 reads 1e-5 as a string; Python's float does not.
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            return value
    return value


def _is_text(parts: Sequence[str]) -> bool:
    model: type[BaseModel] = Settings
    for part in parts[:-1]:
        model = sections_of(model).get(part, Section)
    field = model.model_fields.get(parts[-1])
    return field is not None and field.annotation in (str, str | None, Path | None)


def _nest(parts: Sequence[str], value: Any) -> dict[str, Any]:
    for part in reversed(parts):
        value = {part: value}
    result: dict[str, Any] = value
    return result


def _merge(into: dict[str, Any], values: Mapping[str, Any]) -> None:
    for key, value in values.items():
        if isinstance(value, Mapping) and isinstance(into.get(key), dict):
            _merge(into[key], value)
        else:
            into[key] = dict(value) if isinstance(value, Mapping) else value


def _explain(error: pydantic.ValidationError, file: Path | None) -> str:
    where = f"{file}: " if file is not None else ""
    lines = []
    for problem in error.errors():
        name = ".".join(str(part) for part in problem["loc"])
        if problem["type"] == "extra_forbidden":
            lines.append(f"unknown setting {name}{_nearest(name, [*sections_of(Settings), *setting_names()])}")
        else:
            message = problem["msg"].removeprefix("Value error, ")
            given = f" (got {problem['input']!r})" if not isinstance(problem["input"], dict) else ""
            lines.append(f"{name}: {message}{given}" if name else message)
    return where + "; ".join(lines) + "."


def setting_names() -> list[str]:
    """Every dotted setting name."""
    return sorted(_names(Settings, ""))


def _names(model: type[BaseModel], prefix: str) -> list[str]:
    found = []
    for name in model.model_fields:
        section = sections_of(model).get(name)
        found += _names(section, f"{prefix}{name}.") if section is not None else [f"{prefix}{name}"]
    return found


def _nearest(name: str, choices: Sequence[str]) -> str:
    last = name.rpartition(".")[2]
    close = [choice for choice in choices if choice.rpartition(".")[2] == last][:1]
    close = close or difflib.get_close_matches(name, choices, n=1, cutoff=0.5)
    return f" (did you mean {close[0]}?)" if close else ""
