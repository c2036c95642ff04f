"""All stages in the order of the data, and how the graph grows with the settings.

Every stage that a module of this folder declares is part of it; nothing lists them by hand.

::

    mining_rounds 2:  mined_negatives_round_1 - training_set_round_1 - checkpoint_round_1 -- mined_negatives - ...
    eval.candidates:  base_metrics - candidate_metrics
    finetune.reranker: training_set - reranker - reranker_metrics (also of checkpoint, base_metrics)
    sweep.enabled:    training_set - checkpoint_<training> (each) - sweep_comparison
    variants:         <variant>__<asset> up to <variant>__metrics - variant_comparison
"""

import difflib
from collections.abc import Iterable, Mapping, Sequence

from embed_pipeline.errors import SettingsError
from embed_pipeline.settings import Settings
from embed_pipeline.stages import finetune, prep
from embed_pipeline.stages.candidates import candidate_stages
from embed_pipeline.stages.collect import declared_stages, in_order, leading_to
from embed_pipeline.stages.declare import Stage
from embed_pipeline.stages.reranker import METRICS, NAME, SWITCH, reranker_stages
from embed_pipeline.stages.sweep import sweep_stages
from embed_pipeline.stages.variant_comparison import COMPARISON, comparison_stages
from embed_pipeline.stages.variants import LAST, asset_in, variant_stages
from embed_pipeline.store.names import variant_of

ROUND = ("mined_negatives", "training_set", "checkpoint")

# The six stages of the command line (sdg reads the documents too), and the sweep. A group that no command has is
# reached with --to.
GROUPS = {
    "sdg": ("corpus", "sdg"),
    "prep": ("prep",),
    "finetune": ("finetune",),
    "eval": ("eval",),
    "export": ("export",),
    "deploy": ("deploy",),
    "sweep": ("sweep",),
}

STAGES = in_order(declared_stages(), [group for groups in GROUPS.values() for group in groups])


def stages(settings: Settings) -> dict[str, Stage]:
    """The graph for these settings; :data:`STAGES` by default.

    Raises:
        SettingsError: a variant has the name of an asset or a stage.
    """
    main = main_stages(settings)
    variants = variant_stages(settings, main, main_stages)
    return main | variants | {one.name: one for one in comparison_stages(settings, main | variants)}


def main_stages(settings: Settings) -> dict[str, Stage]:
    """The graph without variants.

    Every round trains from the base model. The last one keeps the names without a number, so that what follows does
    not depend on the number of rounds; with one round more, what the first ones computed is taken over.
    """
    rounds = settings.prep.mining_rounds
    last = _round(rounds, "") if rounds > 1 else {}
    found: dict[str, Stage] = {}
    for name, declared in STAGES.items():
        if name == ROUND[0]:
            for number in range(1, rounds):
                found |= _round(number, f"_round_{number}")
        found[name] = last.get(name, declared)
    more = (*candidate_stages(settings), *reranker_stages(settings), *sweep_stages(settings))
    return found | {one.name: one for one in more}


def _round(number: int, suffix: str) -> dict[str, Stage]:
    """Mining, unrolling and training of one round; mining reads the checkpoint of the one before."""
    names = {name: f"{name}{suffix}" for name in ROUND}
    mining = prep.mined_negatives
    before = dict(names)
    if number > 1:
        mining = prep.mined_again
        before["checkpoint"] = f"checkpoint_round_{number - 1}"
    return {
        names["mined_negatives"]: mining.renamed(names["mined_negatives"], before),
        names["training_set"]: prep.training_set.renamed(names["training_set"], names),
        names["checkpoint"]: finetune.checkpoint.renamed(names["checkpoint"], names),
    }


def assets_of(name: str, graph: Mapping[str, Stage] = STAGES) -> list[str]:
    """Assets of a stage or group, or the asset of that name.

    Raises:
        SettingsError: unknown; names the nearest.
    """
    if name in graph:
        return [name]
    groups = GROUPS.get(name, (name,))
    found = [stage.name for stage in graph.values() if stage.group in groups]
    if not found and name in GROUPS:
        raise SettingsError(f"{name} is off: set {name}.enabled to true, or run embed-pipeline {name}.")
    if name in (NAME, METRICS):
        raise SettingsError(f"{name} is off: set {SWITCH} to true.")
    if not found:
        names = [*GROUPS, "corpus", *graph]
        close = difflib.get_close_matches(name, names, n=1, cutoff=0.4)
        hint = f" (did you mean {close[0]}?)" if close else ""
        raise SettingsError(
            f"stage {name!r} is unknown{hint}; stages are {', '.join(GROUPS)}, assets are {', '.join(graph)}."
        )
    return found


def with_upstream(names: Iterable[str], graph: Mapping[str, Stage] = STAGES) -> list[str]:
    """``names`` and everything they need, in the order of the data."""
    return leading_to(names, graph)


def main_names(graph: Mapping[str, Stage]) -> list[str]:
    """The assets that no variant has brought, in the order of the data."""
    return [name for name in graph if variant_of(name) is None and name != COMPARISON]


def selection(
    to: str | None, graph: Mapping[str, Stage] = STAGES, variants: Sequence[str] = (), compare: bool = False
) -> list[str]:
    """Assets of a run up to ``to`` (a stage, a group, an asset); of the main graph, or of ``variants``.

    Args:
        variants: what leads to their metrics, or to ``to`` in them.
        compare: also to the table of all variants.

    Raises:
        SettingsError: ``to`` is unknown, or no part of a variant.
    """
    if not variants:
        return main_names(graph) if to is None else with_upstream(assets_of(to, graph), graph)
    wanted = _in_variants([to or LAST], graph, variants)
    return with_upstream([*wanted, COMPARISON] if compare and to is None else wanted, graph)


def forced_assets(names: Iterable[str], graph: Mapping[str, Stage], variants: Sequence[str] = ()) -> list[str]:
    """The assets meant by stages, groups and assets; with ``variants``, those that stand in them for these.

    Raises:
        SettingsError: one is unknown, or no part of a variant.
    """
    return (
        _in_variants(names, graph, variants) if variants else [one for name in names for one in assets_of(name, graph)]
    )


def _in_variants(names: Iterable[str], graph: Mapping[str, Stage], variants: Sequence[str]) -> list[str]:
    ends = [asset_in(one, LAST, graph) for one in variants]
    part = set(leading_to(ends, graph))
    found = []
    for name in names:
        meant = dict.fromkeys(asset_in(one, asset, graph) for asset in assets_of(name, graph) for one in variants)
        if not part & set(meant):
            raise SettingsError(
                f"{name} is no part of a variant, which ends with {LAST}; what follows is for the main graph."
            )
        found += [one for one in meant if one in part]
    return found
