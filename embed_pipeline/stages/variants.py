"""Variants: the way to ``metrics`` once more under other settings, and the table that compares them.

A variant has assets of its own from the first stage on that its settings can make different; what comes before is the
main graph's own asset, computed once. Which stage that is follows from the declarations alone: no file is read.

::

    documents - passages - ... - checkpoint - metrics -------------------------------+
                                                                                     +- variant_comparison
    variants.thorough:      thorough__checkpoint - thorough__metrics ----------------+
      finetune.epochs: 3    (of splits, training_set, ... there is one)
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from pydantic import BaseModel

from embed_pipeline.errors import SettingsError
from embed_pipeline.settings import Settings
from embed_pipeline.settings.dotted import value_at
from embed_pipeline.settings.section import keyed, plain
from embed_pipeline.settings.sources import nearest, variant_settings, with_values
from embed_pipeline.settings.variants import VARIED, dotted
from embed_pipeline.stages.collect import leading_to
from embed_pipeline.stages.declare import Stage
from embed_pipeline.store.names import variant_asset

LAST = "metrics"
"""Where a variant ends; what follows is for the one that is promoted."""
MAIN = "main"
ALL = "all"


def variant_stages(
    settings: Settings, main: Mapping[str, Stage], graph_of: Callable[[Settings], Mapping[str, Stage]]
) -> dict[str, Stage]:
    """The assets that each variant has of its own, in the order of the data; none without variants.

    Args:
        main: the main graph.
        graph_of: the main graph of other settings.

    Raises:
        SettingsError: a variant has the name of something else.
    """
    found: dict[str, Stage] = {}
    for variant in settings.variants:
        _refuse_taken(variant, main)
        own = variant_settings(settings, variant)
        found |= _own_stages(variant, settings, own, main, graph_of(own))
    return found


def asset_in(variant: str, asset: str, graph: Mapping[str, Stage]) -> str:
    """The asset that stands in a variant for one of the main graph: its own, else the shared one."""
    own = variant_asset(variant, asset)
    return own if own in graph else asset


def differing(settings: Settings, variant: str) -> dict[str, tuple[Any, Any]]:
    """Dotted setting -> (main value, the variant's value), where they differ."""
    own = variant_settings(settings, variant)
    names = [name for name, _ in dotted(settings.variants[variant])]
    pairs = {name: (_value(settings, name), _value(own, name)) for name in names}
    return {name: (main, changed) for name, (main, changed) in pairs.items() if main != changed}


def chosen_variants(names: Iterable[str], settings: Settings) -> list[str]:
    """The variants that are meant, ``all`` being every one of them; each once.

    Raises:
        SettingsError: unknown; names the nearest.
    """
    found: list[str] = []
    for name in names:
        everyone = name == ALL and settings.variants
        found += settings.variants if everyone else [known_variant(name, settings)]
    return list(dict.fromkeys(found))


def known_variant(name: str, settings: Settings) -> str:
    """The name of a variant.

    Raises:
        SettingsError: unknown; names the nearest.
    """
    if name not in settings.variants:
        there = ", ".join(settings.variants) or "none (declare them under variants: in pipeline.yaml)"
        hint = nearest(name, list(settings.variants))
        raise SettingsError(f"variant {name!r} is unknown{hint}; there are: {there}.")
    return name


def _refuse_taken(variant: str, main: Mapping[str, Stage]) -> None:
    if variant in {MAIN, ALL, *main, *(one.group for one in main.values())}:
        raise SettingsError(f"variants.{variant}: a stage or an asset has this name; choose another.")


def _own_stages(
    variant: str, settings: Settings, own: Settings, main: Mapping[str, Stage], graph: Mapping[str, Stage]
) -> dict[str, Stage]:
    names: dict[str, str] = {}
    found: dict[str, Stage] = {}
    for name in leading_to([LAST], graph):
        declared = graph[name]
        if name in main and _same(declared, main[name], names, own, settings):
            names[name] = name
            continue
        names[name] = variant_asset(variant, name)
        found[names[name]] = declared.renamed(names[name], names, group=variant, derive=_derive(settings, variant))
    return found


def _same(one: Stage, other: Stage, names: Mapping[str, str], own: Settings, settings: Settings) -> bool:
    """Whether two assets are the same work, by what they are declared to be made of."""
    if one.compute is not other.compute or tuple(names[name] for name in one.upstream) != other.upstream:
        return False
    looked_at = VARIED if one.looks_at is None else one.looks_at
    return one.settings_part(own) == other.settings_part(settings) and all(
        _value(own, name) == _value(settings, name) for name in looked_at
    )


def _value(settings: Settings, name: str) -> Any:
    """A setting as a plain value; of a section what is part of keys."""
    value = value_at(settings, name)
    return keyed(value) if isinstance(value, BaseModel) else plain(value)


def _derive(settings: Settings, variant: str) -> Callable[[Settings], Settings]:
    """The variant's settings from those of a run, which are the main ones, or the variant's already."""
    values = settings.variants[variant]
    last: list[Settings] = []

    def derive(given: Settings) -> Settings:
        """Put together once for all assets of a run, which give the same object."""
        if not any(given is one for one in last):
            last[:] = [given, with_values(given, values, f"variant {variant}")]
        return last[1]

    return derive
