"""What people wrote is read before anything is computed: gold sets, general questions, the log of queries."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from embed_pipeline.errors import InputError
from embed_pipeline.settings import Settings
from embed_pipeline.stages.inputs import QUERY_LOG
from embed_pipeline.stages.plan import PlanStep


def check_questions(steps: Mapping[str, PlanStep], settings: Settings) -> None:
    """Refuse questions that a step to be computed could not read when its turn comes.

    Passages of the pipeline itself, which judgements may name, need not be there yet, so that their ids are not
    looked up. What no step is going to read is not read here either.

    Raises:
        InputError: a folder or file is missing or malformed; names setting, file and line.
    """
    wanted = dict.fromkeys(
        one for step in steps.values() if step.action == "compute" for one in _read_by(step, settings)
    )
    for setting, path in wanted:
        _check(setting, path.expanduser())


def _read_by(step: PlanStep, settings: Settings) -> Iterator[tuple[str, Path]]:
    """(setting, path) of everything that people wrote and a stage reads."""
    looks_at = step.stage.looks_at or ()
    chosen = step.stage.derive(settings).eval
    single = {"eval.gold": chosen.gold, "eval.general": chosen.general, QUERY_LOG: chosen.query_log}
    yield from ((name, path) for name, path in single.items() if name in looks_at and path is not None)
    if "eval.gold_sets" in looks_at:
        yield from ((f"eval.gold_sets.{name}", path) for name, path in chosen.gold_sets.items())


def _check(setting: str, path: Path) -> None:
    from embed_pipeline.evaluation.gold import check_gold
    from embed_pipeline.evaluation.query_log import read_query_log

    if setting == QUERY_LOG:
        read_query_log(path)
        return
    try:
        check_gold(path)
    except InputError as error:
        raise InputError(f"{setting}: {error}") from None
