"""A run in waves: what is up to date is not executed, and what follows unchanged content neither."""

import pytest

from embed_pipeline.stages.run import run_stage
from embed_pipeline.stages.waves import Wave, Waves
from embed_pipeline.store.artifacts import Store
from embed_pipeline_tests.stages import toy


@pytest.fixture
def home(tmp_path):
    toy.corpus_of(tmp_path)
    return tmp_path / "home"


def settings(home, *overrides):
    return toy.settings_of(home.parent, *overrides)


def waves_of(home, *overrides, chosen=tuple(toy.STAGES), **others):
    return Waves(toy.STAGES, settings(home, *overrides), Store(home), chosen, **others)


def execute(waves: Waves, name: str) -> None:
    """What an executor does with an asset of a wave."""
    declared = toy.STAGES[name]
    inputs = {one: waves.store.handle(one, str(waves.done[one])) for one in declared.inputs}
    result = run_stage(declared, waves.settings, waves.store, inputs, name in waves.force)
    waves.store.point(result.artifact, result.key, result.outcome, result.seconds)
    waves.finish(name, result.artifact.version)


def complete(waves: Waves) -> list[str]:
    """Every asset that was executed, in order."""
    executed: list[str] = []
    while wave := waves.next():
        for name in wave.execute:
            execute(waves, name)
        for name in wave.check:
            waves.finish(name, waves.up_to_date[name])
        executed += wave.execute
    return executed


def test_the_first_run_executes_everything_and_the_second_nothing(home):
    assert complete(waves_of(home)) == list(toy.STAGES)
    second = waves_of(home)
    assert not second.next()
    assert set(second.up_to_date) == set(toy.STAGES)


def test_what_follows_unchanged_content_is_not_executed(home):
    complete(waves_of(home))
    toy.corpus_of(home.parent, "ann\n\nbob\n")
    again = waves_of(home)
    assert complete(again) == ["names"]
    assert set(again.up_to_date) == {"model", "score"}


def test_a_setting_executes_its_asset_and_what_its_content_changes(home):
    complete(waves_of(home))
    assert complete(waves_of(home, "finetune.epochs=9")) == ["model", "score"]


def test_going_back_moves_the_pointers_and_a_second_time_nothing(home):
    complete(waves_of(home))
    complete(waves_of(home, "finetune.epochs=9"))
    assert complete(waves_of(home)) == ["model", "score"]
    assert complete(waves_of(home)) == []


def test_forced_assets_are_executed_alone_if_their_content_stays(home):
    complete(waves_of(home))
    assert complete(waves_of(home, force=("names",))) == ["names"]


def test_what_follows_a_failure_is_blocked_and_what_does_not_goes_on(home):
    waves = waves_of(home)
    assert waves.next() == Wave(("names",), ())
    waves.fail("names")
    assert not waves.next()
    assert waves.blocked == ["model", "score"]


def test_an_asset_whose_content_is_damaged_is_executed(home):
    complete(waves_of(home))
    (Store(home).current("model").path / "model.json").write_text("{}")
    assert complete(waves_of(home)) == ["model"]


def test_an_asset_that_is_not_known_outside_is_executed(home):
    complete(waves_of(home))
    assert complete(waves_of(home, known_outside=lambda stage, _: stage.name != "score")) == ["score"]


def test_an_asset_that_has_not_passed_its_checks_is_checked_before_what_follows_starts(home):
    complete(waves_of(home))
    waves = waves_of(home, force=("score",), checked=lambda stage, _: stage.name != "model")
    assert waves.next() == Wave((), ("model",))
    waves.finish("model", waves.up_to_date["model"])
    assert waves.next() == Wave(("score",), ())


def test_a_check_that_refuses_again_blocks_again(home):
    complete(waves_of(home))
    waves = waves_of(home, checked=lambda stage, _: stage.name != "model")
    waves.next()
    waves.fail("model")
    assert not waves.next()
    assert waves.blocked == ["score"]


def test_of_a_selection_the_rest_counts_as_it_is_in_use(home):
    complete(waves_of(home))
    toy.corpus_of(home.parent, "ann bob cid")
    assert complete(waves_of(home, chosen=("model", "score"))) == []
    assert complete(waves_of(home, "finetune.epochs=9", chosen=("score",))) == []


def test_what_cannot_be_planned_is_executed_so_that_it_says_itself_why(home):
    (home.parent / "corpus" / "names.txt").unlink()
    assert waves_of(home).next() == Wave(("names",), ())
