"""What the calls to a language model that a run would make will cost, for ``--plan``."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from embed_pipeline.settings import Settings
from embed_pipeline.stages.inputs import responses, uses_llm
from embed_pipeline.stages.plan import PlanStep
from embed_pipeline.store.artifacts import Artifact, Store
from embed_pipeline.store.names import plain_name, variant_of

if TYPE_CHECKING:
    from embed_pipeline.llm.estimate import Estimate


def llm_estimates(steps: Mapping[str, PlanStep], settings: Settings, store: Store) -> "dict[str, Estimate]":
    """By asset; only of assets that are to be computed and ask a language model.

    The assets mined_negatives of several rounds stand under the first one's name.
    """
    found = {}
    for variant in dict.fromkeys(variant_of(name) for name in steps):
        own = {plain_name(name): step for name, step in steps.items() if variant_of(name) == variant}
        seen = own if variant is None else _main_steps(steps, own) | own
        chosen = next(iter(own.values())).stage.derive(settings) if variant is not None else settings
        for name, estimate in _graph_estimates(seen, chosen, store).items():
            if name in own:  # what is shared is told once
                found[own[name].stage.name] = estimate
    return found


def _main_steps(steps: Mapping[str, PlanStep], own: Mapping[str, PlanStep]) -> dict[str, PlanStep]:
    """The steps of the main graph that stand before those of a variant; not its rounds, where that has some itself."""
    families = {step.stage.family for step in own.values()} - {None}
    main = {name: step for name, step in steps.items() if variant_of(name) is None}
    return {name: step for name, step in main.items() if step.stage.family not in families}


def _graph_estimates(steps: Mapping[str, PlanStep], settings: Settings, store: Store) -> "dict[str, Estimate]":
    found = {}
    if "qa_candidates" in steps and steps["qa_candidates"].action == "compute":
        generation = generation_estimate(settings, store, _handle(steps, store, "passages"))
        if generation is not None:
            found["qa_candidates"] = generation
    if settings.prep.denoise == "llm":
        denoising = denoising_estimate(steps, settings, store, found.get("qa_candidates"))
        if denoising is not None:
            found["mined_negatives"] = denoising
    return found


def generation_estimate(settings: Settings, store: Store, passages: Artifact | None) -> "Estimate | None":
    """What ``--plan`` says of the calls that qa_candidates would make; None where there are none to make.

    Args:
        passages: None while they are to be computed, then the size of the files must do.
    """
    if not uses_llm(settings):
        return None
    from embed_pipeline.llm.engines import open_client
    from embed_pipeline.sdg.generation.estimate import estimate_generation, estimate_roughly
    from embed_pipeline.sdg.generation.generate import Corpus

    documents = _input(store, passages, "documents") if passages is not None else None
    if passages is None or documents is None or not store.is_intact(documents):
        from embed_pipeline.stages.corpus import corpus_listing

        return estimate_roughly(corpus_listing(settings, store.home), settings.sdg, responses(store.home))
    from embed_pipeline.encoders.base_model import base_encoder_spec
    from embed_pipeline.stages.declare import cached_encoder

    encoder = cached_encoder(store.home, settings, base_encoder_spec(settings.base_model, settings.encoder))
    corpus = Corpus(documents.frame(), passages.frame(), encoder)
    client, _ = open_client(settings.sdg, responses(store.home), "plan")
    return estimate_generation(corpus, settings.sdg, client)


def denoising_estimate(
    steps: Mapping[str, PlanStep], settings: Settings, store: Store, generation: "Estimate | None"
) -> "Estimate | None":
    """What looking at every hard negative once more costs; None without mining, or where no question is known yet."""
    from embed_pipeline.prep.mining.denoisers import estimate_denoising

    rounds = sum(step.stage.family == "mined_negatives" and step.action == "compute" for step in steps.values())
    if not rounds:
        return None
    exact = _questions_to_mine(steps, store)
    questions = exact if exact is not None else _questions_expected(steps, settings, store, generation)
    if questions is None:
        return None
    passages = _artifact(steps, store, "passages")
    tokens = passages.frame()["token_count"].to_list() if passages is not None else []
    usual = sum(tokens) / len(tokens) if tokens else settings.corpus.passage_tokens
    pairs = rounds * questions * settings.prep.hard_negatives
    return estimate_denoising(pairs, usual, settings.sdg, responses(store.home), rough=exact is None)


def _questions_to_mine(steps: Mapping[str, PlanStep], store: Store) -> int | None:
    """Training questions without given negatives; None while the questions or their splits are to be computed."""
    pairs, splits = _artifact(steps, store, "qa_pairs"), _artifact(steps, store, "splits")
    if pairs is None or splits is None:
        return None
    cut, asked = splits.frame(), pairs.frame()
    training = cut.filter((cut["item_type"] == "question") & (cut["split"] == "train"))["item_id"]
    mined = asked.filter(asked["question_id"].is_in(training.implode()) & (asked["negative_ids"].list.len() == 0))
    return mined.height


def _questions_expected(
    steps: Mapping[str, PlanStep], settings: Settings, store: Store, generation: "Estimate | None"
) -> float | None:
    """As many as there were before, else as many as will be judged; None when neither is known."""
    known = store.current(steps["qa_pairs"].stage.name if "qa_pairs" in steps else "qa_pairs")
    if known is not None and store.is_intact(known):
        return settings.prep.train_ratio * known.frame().height
    if generation is None:
        return None
    judged = next(step for step in generation.steps if step.name == "judge")
    return settings.prep.train_ratio * judged.calls * settings.sdg.judge_batch


def _artifact(steps: Mapping[str, PlanStep], store: Store, name: str) -> Artifact | None:
    found = _handle(steps, store, name)
    return found if found is not None and store.is_intact(found) else None


def _handle(steps: Mapping[str, PlanStep], store: Store, name: str) -> Artifact | None:
    version = steps[name].version
    return store.handle(steps[name].stage.name, version) if version is not None else None


def _input(store: Store, artifact: Artifact, name: str) -> Artifact:
    """The artifact of that name, in the main graph or a variant, that another was made from."""
    inputs = store.last_made(artifact).inputs
    (asset,) = (one for one in inputs if plain_name(one) == name)
    return store.handle(asset, inputs[asset])
