"""What lies outside the store, as Dagster sees it: external assets whose versions are reported when they change.

::

    corpus_folder ─ corpus_manifest         base_model ─ splits, checkpoint …        endpoint_process ─ endpoint

An artifact says which version of them it was made from (:func:`provenance`), so Dagster calls an asset stale once
another version is reported, and fresh again when the old one comes back. Versions are reported as materializations: an
observation would leave the assets behind it stale for ever.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import dagster as dg

from embed_pipeline.defs import OWNERS
from embed_pipeline.errors import EmbedPipelineError
from embed_pipeline.files import sha256_json
from embed_pipeline.settings import Settings
from embed_pipeline.settings.dotted import value_at
from embed_pipeline.stages.declare import External, Stage, Version
from embed_pipeline.stages.graph import stages
from embed_pipeline.store.artifacts import Store
from embed_pipeline.store.names import variant_asset, variant_of

GROUP = "outside"
VERSION_TAG = "dagster/data_version"
GIVEN_TAG = "dagster/data_version_is_user_provided"
INPUT_TAG = "dagster/input_data_version/"


class Kind(NamedTuple):
    """One kind of thing outside; ``settings`` say which one it is."""

    key: str
    about: str
    settings: tuple[str, ...]


MODEL = ("base_model", "encoder")
# By the name that stages use.
KINDS = {
    "corpus": Kind("corpus_folder", "The documents of corpus.path, by content.", ("corpus.path",)),
    "tokenizer": Kind("tokenizer", "The base model's tokenizer, which measures passages.", MODEL),
    "base_model": Kind("base_model", "The base model's files and how it encodes (base_model, encoder).", MODEL),
    "prompts": Kind("prompts", "The prompts of the language model, those of sdg.prompts among them.", ("sdg.prompts",)),
    "import_from": Kind("imported_questions", "The questions brought along (sdg.import_from).", ("sdg.import_from",)),
    "gold": Kind("gold_questions", "The gold set (eval.gold).", ("eval.gold",)),
    "gold_sets": Kind("gold_sets", "The named gold sets (eval.gold_sets).", ("eval.gold_sets",)),
    "general": Kind("general_questions", "The general questions (eval.general).", ("eval.general",)),
    "candidates": Kind("candidates", "The models and endpoints of eval.candidates.", ("eval.candidates",)),
    "query_log": Kind("query_log", "The queries people typed (eval.query_log).", ("eval.query_log",)),
    "teacher": Kind("teacher", "The model that is distilled from (finetune.teacher).", ("finetune.teacher",)),
    "bm25": Kind("words", "How words are compared, where a training looks at BM25 (eval.bm25).", ("eval.bm25",)),
    "reranker_model": Kind(
        "reranker_model", "What the reranker is trained from (finetune.reranker_model).", ("finetune.reranker_model",)
    ),
    "cross_encoder": Kind(
        "cross_encoder", "The model that denoises negatives (prep.cross_encoder).", ("prep.cross_encoder",)
    ),
    "llm": Kind(
        "denoising_model", "The language model that denoises negatives, and its prompt.", ("sdg.llm", "sdg.prompts")
    ),
    "variants": Kind("declared_variants", "The variants, as the settings declare them.", ()),
    "tensorrt": Kind("tensorrt", "Whether and with what a TensorRT engine can be built on this machine.", ()),
}
# Asset that stands for something running -> the asset of what runs, and what it is.
PROCESSES = {
    "endpoint": ("endpoint_process", "The server of the endpoint; another version each time it was found dead.")
}


@dataclass(frozen=True)
class Outside:
    """What was found outside.

    Attributes:
        settings: of the pipeline.
        versions: by the key of the asset.
        problems: why something has no version, in words.
    """

    settings: Settings
    versions: dict[str, str]
    problems: tuple[str, ...]

    def seen_by(self, graph: Mapping[str, Stage]) -> dict[str, Stage]:
        """The same stages, which see these versions instead of looking again."""
        return {name: replace(stage, external=self._of(stage)) for name, stage in graph.items()}

    def _of(self, stage: Stage) -> External:
        found = {name: self.versions[key] for name, key in _keys(stage, self.settings).items()}
        return lambda _: {name: _constant(version) for name, version in found.items()}


def outside_keys(stage: Stage, settings: Settings) -> list[str]:
    """The external assets that a stage depends on.

    Args:
        settings: of the pipeline; a stage with settings of its own may look at another corpus, model and so on, and
            then has an asset of its own for it.
    """
    process = [PROCESSES[stage.name][0]] if stage.name in PROCESSES else []
    return [*_keys(stage, settings).values(), *process]


def _keys(stage: Stage, settings: Settings) -> dict[str, str]:
    """What the stage calls it -> the asset."""
    own = stage.derive(settings)
    return {name: _key(name, stage.name, own, settings) for name in stage.external(own)}


def _key(name: str, stage: str, own: Settings, settings: Settings) -> str:
    kind = KINDS.get(name)
    if kind is None:
        return name
    chosen = [str(value_at(own, setting)) for setting in kind.settings]
    if chosen == [str(value_at(settings, setting)) for setting in kind.settings]:
        return kind.key
    owner = variant_of(stage)
    return variant_asset(owner, kind.key) if owner else f"{kind.key}_{sha256_json(chosen)[:8]}"


def outside_assets(graph: Mapping[str, Stage], settings: Settings) -> list[dg.AssetSpec]:
    """All of them, for these settings."""
    about = dict(PROCESSES.values())
    for stage in graph.values():
        about |= {key: KINDS[name].about for name, key in _keys(stage, settings).items() if name in KINDS}
    keys = dict.fromkeys(key for stage in graph.values() for key in outside_keys(stage, settings))
    return [
        dg.AssetSpec(key, group_name=GROUP, description=about.get(key), kinds={"external"}, owners=OWNERS)
        for key in keys
    ]


def provenance(external: Mapping[str, str], stage: Stage, settings: Settings) -> dict[str, str]:
    """Tags of a materialization that say what it was made from, whatever has been reported so far."""
    keys = _keys(stage, settings)
    return {f"{INPUT_TAG}{keys[name]}": version for name, version in external.items()}


def names_outside(tags: Mapping[str, str], stage: Stage, settings: Settings) -> bool:
    """Whether the tags of a materialization name everything outside; those made by older versions name nothing."""
    return all(f"{INPUT_TAG}{key}" in tags for key in outside_keys(stage, settings))


def look_outside(graph: Mapping[str, Stage], settings: Settings, home: Path) -> Outside:
    """Find the version of everything outside; what cannot be found is told, and the rest still found."""
    versions: dict[str, str] = {}
    problems: list[str] = []
    for stage in graph.values():
        keys = _keys(stage, settings)
        for name, version in stage.external(stage.derive(settings)).items():
            try:
                versions[keys[name]] = version(home)
            except EmbedPipelineError as error:
                problems.append(str(error))
    return Outside(settings, versions, tuple(dict.fromkeys(problems)))


def report_outside(
    instance: dg.DagsterInstance, settings: Settings, store: Store, graph: Mapping[str, Stage] | None = None
) -> Outside:
    """Tell Dagster the version of everything outside that has changed since it was last told.

    A run calls it before its first step, the sensor at every tick. Never fails: what cannot be looked at is among the
    problems.
    """
    chosen = stages(settings) if graph is None else graph
    found = look_outside(chosen, settings, store.home)
    wanted = found.versions | _processes(instance, chosen, settings, store)
    told = _told(instance, wanted)
    for key, version in wanted.items():
        if told.get(key) != version:
            tags = {VERSION_TAG: version, GIVEN_TAG: "true"}
            instance.report_runless_asset_event(dg.AssetMaterialization(asset_key=key, tags=tags))
    return found


def _processes(
    instance: dg.DagsterInstance, graph: Mapping[str, Stage], settings: Settings, store: Store
) -> dict[str, str]:
    """Versions of what should be running.

    While it runs, that which its asset was made with, so that the asset is fresh; once it is found dead, the next
    number, so that the asset is stale until it is made anew.
    """
    versions = {}
    for name, (key, _) in PROCESSES.items():
        if name not in graph:
            continue
        told = _told(instance, [key]).get(key, "0")
        made_with = _tags(instance, [name]).get(name, {}).get(f"{INPUT_TAG}{key}")
        if made_with is None:
            versions[key] = told
        elif _is_alive(graph[name], settings, store):
            versions[key] = made_with
        else:
            versions[key] = _next(told) if told == made_with else told
    return versions


def _is_alive(stage: Stage, settings: Settings, store: Store) -> bool:
    artifact = store.current(stage.name)
    if artifact is None or not store.is_intact(artifact):
        return True  # not the process is what is missing; the plan tells what is
    return stage.alive(artifact, stage.derive(settings), store.home)


def _next(version: str) -> str:
    """The number after this one; the first after what Dagster writes for what it was never told."""
    return str(int(version) + 1) if version.isdecimal() else "1"


def _told(instance: dg.DagsterInstance, keys: Iterable[str]) -> dict[str, str]:
    """Key -> version last reported."""
    return {key: tags[VERSION_TAG] for key, tags in _tags(instance, list(keys)).items() if VERSION_TAG in tags}


def _tags(instance: dg.DagsterInstance, keys: Sequence[str]) -> dict[str, Mapping[str, str]]:
    """Key -> tags of its latest materialization."""
    records = instance.get_latest_materialization_events([dg.AssetKey(key) for key in keys])
    found: dict[str, Mapping[str, str]] = {}
    for key, entry in records.items():
        if entry is not None and entry.asset_materialization is not None:
            found[key.to_user_string()] = entry.asset_materialization.tags or {}
    return found


def _constant(version: str) -> Version:
    return lambda _: version
