"""Every setting, from the models."""

from collections.abc import Iterator, Mapping
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

from tools.docs.markdown import Row, one_line, table

SYMBOLS = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<", "min_length": "length ≥", "max_length": "length ≤"}

SETTINGS = """# Every setting

One YAML file, `pipeline.yaml`. Precedence: `--set section.key=value`, then `EMBED_PIPELINE__SECTION__KEY`, then the
file, then the profile. An unknown setting is an error that names the nearest known one.

**Default** also says what the profiles `cpu` and `gpu` have instead. **Key** names the assets that are computed anew
when the setting changes, before what follows from them:

- *runtime*: the setting cannot change a result (where things lie, speed, money), so nothing is computed anew. Of a
  path (`corpus.path`, `eval.gold` and the like) the content counts instead.
- *no stage*: no asset names the setting. Either what it points to enters by its content (`base_model`, all of
  `encoder`, `prep.cross_encoder`), or it is only looked at when a check judges a result or an asset is declared.

A setting at its default leaves every key as it would be without it.
"""


def settings_page() -> str:
    """Every setting, section by section."""
    from embed_pipeline.settings import Settings
    from embed_pipeline.settings.sources import PROFILES, load_settings

    profiles = {name: load_settings(profile=name, environment={}) for name in PROFILES}
    readers = _readers()
    parts = [SETTINGS, *_section("", Settings, profiles, readers)]
    return "\n".join(parts)


def _readers() -> dict[str, list[str]]:
    """Dotted names of settings or sections -> the assets whose key they enter."""
    from embed_pipeline.stages.graph import STAGES
    from embed_pipeline.stages.reranker import reranker, reranker_metrics

    found: dict[str, list[str]] = {}
    for stage in (*STAGES.values(), reranker, reranker_metrics):
        for name in stage.settings:
            found.setdefault(name, []).append(stage.name)
    return found


def _section(prefix: str, model: Any, profiles: Mapping[str, Any], readers: Mapping[str, list[str]]) -> Iterator[str]:
    """A heading, a table of the section's own settings, then its sections."""
    from embed_pipeline.settings import sections_of

    sections = sections_of(model)
    rows = [_setting_row(prefix, name, model, profiles, readers) for name in model.model_fields if name not in sections]
    if prefix:
        yield f"\n{'#' * (prefix.count('.') + 1)} {prefix.rstrip('.')}\n\n{one_line(model.__doc__)}\n"
    yield table(("Setting", "Default", "Key", "Meaning"), rows)
    for name, section in sections.items():
        yield from _section(
            f"{prefix}{name}.", section, {key: getattr(one, name) for key, one in profiles.items()}, readers
        )


def _setting_row(
    prefix: str, name: str, model: Any, profiles: Mapping[str, Any], readers: Mapping[str, list[str]]
) -> Row:
    field = model.model_fields[name]
    default = field.get_default(call_default_factory=True)
    own = {profile: getattr(section, name) for profile, section in profiles.items()}
    limits = [
        f"{sign} {getattr(one, key)}" for one in field.metadata for key, sign in SYMBOLS.items() if hasattr(one, key)
    ]
    return (
        f"`{prefix}{name}`",
        ", ".join([_value(default), *(f"{key}: {_value(value)}" for key, value in own.items() if value != default)]),
        _key(f"{prefix}{name}", model, name, readers),
        f"{field.description or ''} *{', '.join([_type_name(field.annotation), *limits])}*".strip(),
    )


def _key(dotted: str, model: Any, name: str, readers: Mapping[str, list[str]]) -> str:
    from embed_pipeline.settings.section import in_key, with_section

    if not in_key(model, name):
        return "*runtime*"
    parts = dotted.split(".")
    owners = [".".join(parts[:depth]) for depth in range(1, len(parts) + 1)]
    owners = owners if with_section(model, name) else [dotted]
    assets = dict.fromkeys(asset for owner in owners for asset in readers.get(owner, []))
    return ", ".join(assets) or "*no stage*"


def _type_name(annotation: Any) -> str:
    """A type as people write it: ``int or null``, ``"a", "b"``, ``list of int``."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return " / ".join(f"`{value}`" for value in arguments)
    if origin in (Union, UnionType):
        named = [_type_name(one) for one in arguments if one is not NoneType]
        return " or ".join([*named, "null"] if NoneType in arguments else named)
    if origin is tuple:
        return f"list of {_type_name(arguments[0])}"
    if origin is not None and hasattr(annotation, "__metadata__"):
        return _type_name(arguments[0])
    name = str(annotation.__name__)
    return {"str": "text", "float": "number", "Path": "path", "bool": "true / false"}.get(name, name)


def _value(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return f"`[{', '.join(map(str, value))}]`"
    return f'`"{value}"`' if isinstance(value, str) and value != value.strip() else f"`{value}`"
