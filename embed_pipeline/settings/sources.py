"""Where settings come from: one YAML file over a profile, the environment and the command line over both.

Precedence: ``--set section.key=value``, then ``EMBED_PIPELINE__SECTION__KEY``, then the file, then the profile.
pydantic-settings puts them together; what a value given as text means is decided by the declaration of its setting.
"""

import difflib
import os
import re
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import pydantic
import pydantic_settings
import yaml
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    InitSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    YamlConfigSettingsSource,
)
from pydantic_settings.sources.types import EnvNoneType

from embed_pipeline.errors import SettingsError
from embed_pipeline.settings import Settings, sections_of
from embed_pipeline.settings.places import anchor, named_absolutely
from embed_pipeline.settings.settings_yaml import read_yaml
from embed_pipeline.settings.variants import VARIED, spread

OPTION = "--set"
"""What overrides are given by on the command line."""
ENVIRONMENT_PREFIX = "EMBED_PIPELINE__"
PROFILES = ("cpu", "gpu")
_VARIANT = re.compile(r"variants\.[^.]+\.")
_SHOWN = 120
"""Characters of a value that an error shows."""
_BARE_WORDS = "; YAML reads yes, no, on and off as true and false: put the word into quotes"


def load_settings(
    file: str | Path | None = None,
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
    from_file = _read_file(Path(file)) if file is not None else {}
    named = from_file.pop("profile", None)
    sources = (
        *_from_overrides(overrides),
        _TextSource(_environment_texts(environment)),
        InitSettingsSource(_SettingsFromSources, from_file),
        _from_profile(str(profile or named or "cpu")),
    )
    names: dict[str, str] = {}
    for given in (
        _named_by(from_file, str(file)),
        {name: _variable(name) for name in _environment_texts(environment)},
        *({_split(override)[0]: _option(override)} for override in overrides),
    ):
        for name, place in given.items():
            names.pop(name, None)  # so that what wins stands last
            names[name] = place
    return _validated(sources, names, str(file) if file is not None else "")


def absolute_overrides(overrides: Sequence[str], environment: Mapping[str, str] | None = None) -> list[str]:
    """Overrides that mean the same in every folder.

    Behind each that names a file or a folder comes one with its absolute path; those of the environment come first.

    Raises:
        SettingsError: as :func:`load_settings`.
    """
    found = named_absolutely(_TextSource(_environment_texts(environment))())
    for override, source in zip(overrides, reversed(_from_overrides(overrides)), strict=True):
        found += [override, *named_absolutely(source())]
    return found


def with_overrides(settings: Settings, overrides: Sequence[str], given_by: str = OPTION) -> Settings:
    """A copy with ``section.key=value`` overrides applied.

    Args:
        given_by: what they were typed into, for errors.

    Raises:
        SettingsError: as :func:`load_settings`.
    """
    before = InitSettingsSource(_SettingsFromSources, settings.model_dump())
    names = {_split(override, given_by)[0]: _option(override, given_by) for override in overrides}
    return _validated((*_from_overrides(overrides), before), names)


def variant_settings(settings: Settings, name: str, where: str = "") -> Settings:
    """The settings of a variant: its own over the main ones.

    Args:
        where: it is declared, for errors.

    Raises:
        SettingsError: as :func:`load_settings`; or it sets what belongs to the whole installation.
    """
    place = f"{where + ': ' if where else ''}variant {name}"
    values = settings.variants[name]
    for section in values:
        if section in Settings.model_fields and section not in VARIED:
            raise SettingsError(f"{place}: {section} cannot differ in a variant, which may set {', '.join(VARIED)}.")
    return with_values(settings, values, place)


def with_values(settings: Settings, values: Mapping[str, Any], where: str) -> Settings:
    """A copy, without variants, with ``values`` (sections with settings in them) over it.

    Raises:
        SettingsError: as :func:`load_settings`; begins with ``where``.
    """
    before = settings.model_dump() | {"variants": {}}
    given, base = (InitSettingsSource(_SettingsFromSources, dict(one)) for one in (values, before))
    return _validated((given, base), {}, where)


def given_names(overrides: Sequence[str], environment: Mapping[str, str] | None = None) -> dict[str, str]:
    """Dotted setting -> where it is given, of what wins over the file: environment and overrides."""
    return {name: _variable(name) for name in _environment_texts(environment)} | {
        _split(override)[0]: _option(override) for override in overrides
    }


class _SettingsFromSources(Settings, BaseSettings):
    """Settings while they are put together; :class:`Settings` itself looks at no source."""

    model_config = SettingsConfigDict(case_sensitive=True, env_nested_delimiter=".", env_parse_none_str="null")


class _TextSource(EnvSettingsSource):
    """Values given as text, by the dotted name of their setting; null, ~ and nothing mean null.

    Text settings are taken verbatim ("query: ", "007", "12e4"), unless quoted; lists and whole sections are YAML.
    """

    def __init__(self, texts: Mapping[str, str]) -> None:
        self.texts = {name: text for name, text in texts.items() if not _VARIANT.match(name)}
        self.of_variants: dict[str, dict[str, str]] = {}
        for name in texts.keys() - self.texts.keys():
            _, variant, setting = name.split(".", 2)
            self.of_variants.setdefault(variant, {})[setting] = texts[name]
        super().__init__(_SettingsFromSources)

    def _load_env_vars(self) -> Mapping[str, str | None]:
        return {name: _unquoted(self.texts[name]) for name in sorted(self.texts)}

    def decode_complex_value(self, field_name: str, field: FieldInfo, value: Any) -> Any:
        """A list or a section; what is neither is left to validation, which names the setting."""
        return _yaml_or_text(value, self.name_of(field_name))

    def name_of(self, field_name: str) -> str:
        """How the user named the setting that is being read."""
        return next((name for name in self.texts if name.partition(".")[0] == field_name), field_name)

    def __call__(self) -> dict[str, Any]:
        """Nested values of the settings there are, and unknown names as they stand, for validation to refuse."""
        sections = sections_of(Settings)
        others = {
            name: text
            for name, text in self.env_vars.items()
            if name not in Settings.model_fields and name.partition(".")[0] not in sections
        }
        try:
            found = _anchored(_without_empty_sections(super().__call__() | others), Path.cwd())
            if self.of_variants:
                given = {name: _TextSource(texts)() for name, texts in self.of_variants.items()}
                found["variants"] = given | found.get("variants", {})
            return found
        except pydantic_settings.SettingsError as error:
            raise SettingsError(str(error.__cause__ or error)) from None


def _validated(sources: tuple[PydanticBaseSettingsSource, ...], names: dict[str, str], otherwise: str = "") -> Settings:
    """Settings of the sources; an error says which of them a setting comes from.

    Args:
        names: dotted setting -> where it was set, for errors. otherwise: where the rest was.
    """
    try:
        merged = _SettingsFromSources(_build_sources=(sources, {}))
    except pydantic.ValidationError as error:
        raise SettingsError(_explain(error, names, otherwise)) from None
    settings = Settings.model_validate(dict(merged))
    for name in settings.variants:
        variant_settings(settings, name, otherwise)  # for its errors
    return settings


def _from_profile(name: str) -> PydanticBaseSettingsSource:
    if name not in PROFILES:
        raise SettingsError(f"profile {name!r} is unknown{nearest(name, PROFILES)}; there are: {', '.join(PROFILES)}.")
    file = resources.files("embed_pipeline").joinpath("settings", "profiles", f"{name}.yaml")
    return YamlConfigSettingsSource(_SettingsFromSources, file)


def _read_file(file: Path) -> dict[str, Any]:
    try:
        values = read_yaml(file.read_text("utf-8"), str(file))
    except FileNotFoundError:
        raise SettingsError(f"{file}: there is no such settings file.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{file}: cannot be read: {error}.") from None
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise SettingsError(f"{file}: must hold sections such as corpus: or finetune:, not a {type(values).__name__}.")
    try:
        return _anchored(_without_empty_sections(values), file.parent)
    except (SettingsError, ValueError) as error:
        raise SettingsError(f"{file}: {str(error).rstrip('.')}.") from None


def _anchored(values: dict[str, Any], folder: Path) -> dict[str, Any]:
    anchor(values, folder)
    if isinstance(values.get("variants"), dict):
        values["variants"] = spread(values["variants"])
        for name, own in values["variants"].items():
            values["variants"][name] = _anchored(_without_empty_sections(own), folder)
    return values


def _without_empty_sections(values: Mapping[Any, Any], model: type[BaseModel] = Settings) -> dict[str, Any]:
    """A section whose lines are all commented out is null in YAML; it says nothing."""
    sections = sections_of(model)
    return {
        str(name): _without_empty_sections(value, sections[name])
        if name in sections and isinstance(value, dict)
        else value
        for name, value in values.items()
        if value is not None or name not in sections
    }


def _environment_texts(environment: Mapping[str, str] | None) -> dict[str, str]:
    """Dotted setting -> text, of the variables that set one."""
    return {
        name.removeprefix(ENVIRONMENT_PREFIX).lower().replace("__", "."): text
        for name, text in (os.environ if environment is None else environment).items()
        if name.startswith(ENVIRONMENT_PREFIX)
    }


def _option(override: str, given_by: str = OPTION) -> str:
    name, text = _split(override, given_by)
    return f"{given_by} {name if may_hold_a_secret(name, text) else override[:_SHOWN]}"


def may_hold_a_secret(name: str, value: object = "") -> bool:
    """People write keys into addresses, also where a model is to be named; whole sections hold one."""
    return (
        "://" in str(value)
        or "@" in str(value)
        or name.endswith(("base_url", "candidates", "teacher"))
        or name in ("sdg", "sdg.llm", "eval")
    )


def _variable(name: str) -> str:
    return ENVIRONMENT_PREFIX + name.upper().replace(".", "__")


def _named_by(values: Mapping[str, Any], place: str, prefix: str = "") -> dict[str, str]:
    """Every dotted name that ``values`` hold, with the place they are from."""
    names = {f"{prefix}{name}": place for name in values}
    for name, value in values.items():
        if isinstance(value, Mapping):
            names |= _named_by(value, place, f"{prefix}{name}.")
    return names


def _from_overrides(overrides: Sequence[str]) -> list[PydanticBaseSettingsSource]:
    """One source each: the last one comes first."""
    return [_TextSource(dict([_split(override)])) for override in reversed(overrides)]


def _split(override: str, given_by: str = OPTION) -> tuple[str, str]:
    name, equals, text = override.partition("=")
    if not equals or not name.strip():
        raise SettingsError(f"{given_by} {override}: must look like section.key=value.")
    return name.strip(), text


def _unquoted(text: str) -> str:
    if text in ("", "null", "~"):
        return EnvNoneType(text)
    value = _yaml_or_text(text, "a value") if text[0] == text[-1] and text[0] in "'\"" else text
    return value if isinstance(value, str) else text


def _yaml_or_text(text: str, where: str) -> Any:
    try:
        yaml.compose(text, yaml.SafeLoader)
    except (yaml.YAMLError, RecursionError):
        return text
    return read_yaml(text, where)


def _explain(error: pydantic.ValidationError, names: dict[str, str], otherwise: str) -> str:
    lines: dict[str, list[str]] = {}
    for problem in error.errors():
        name = ".".join(str(part) for part in problem["loc"])
        if problem["type"] == "extra_forbidden":
            sections = () if "." in name else sections_of(Settings)  # of a whole name a whole one is nearest
            line = f"unknown setting {name}{nearest(name, [*sections, *setting_names()])}"
        else:
            message = problem["msg"].removeprefix("Value error, ")
            shown = not isinstance(problem["input"], dict) and not may_hold_a_secret(name, problem["input"])
            given = f" (got {repr(problem['input'])[:_SHOWN]})" if shown else ""
            hint = _BARE_WORDS if problem["type"] == "string_type" and isinstance(problem["input"], bool) else ""
            line = f"{name}: {message}{given}{hint}" if name else message
        lines.setdefault(_place(name, names) or otherwise, []).append(line)
    told = (f"{place}: {'; '.join(found)}" if place else "; ".join(found) for place, found in lines.items())
    return "; ".join(told) + "."


def _place(name: str, names: dict[str, str]) -> str | None:
    """Where a setting, or something inside a section, was set; what was given last decides."""
    for other, place in reversed(names.items()):
        if other == name or (name and (other.startswith(f"{name}.") or name.startswith(f"{other}."))):
            return place
    return None


def setting_names() -> list[str]:
    """Every dotted setting name."""
    return sorted(_names(Settings, ""))


def _names(model: type[BaseModel], prefix: str) -> list[str]:
    found = []
    for name in model.model_fields:
        section = sections_of(model).get(name)
        found += _names(section, f"{prefix}{name}.") if section is not None else [f"{prefix}{name}"]
    return found


def nearest(name: str, choices: Sequence[str]) -> str:
    """`` (did you mean X?)``, or nothing where nothing is near."""
    last = name.rpartition(".")[2]
    close = [choice for choice in choices if choice.rpartition(".")[2] == last][:1]
    close = close or difflib.get_close_matches(name, choices, n=1, cutoff=0.5)
    return f" (did you mean {close[0]}?)" if close else ""
