"""Variants in a settings file: how they are written, what they inherit, what is refused."""

from pathlib import Path

import pytest

from embed_pipeline.errors import SettingsError
from embed_pipeline.settings import Settings
from embed_pipeline.settings.sources import load_settings, variant_settings, with_overrides
from embed_pipeline.settings.variants import VARIED


@pytest.fixture
def read(tmp_path):
    def read(text: str, *overrides: str, environment: dict[str, str] | None = None) -> Settings:
        (tmp_path / "pipeline.yaml").write_text(text)
        return load_settings(tmp_path / "pipeline.yaml", None, overrides, environment or {})

    return read


def test_sections_and_dotted_names_mean_the_same(read):
    text = (
        "variants:\n  a: {finetune.epochs: 2, finetune.lora.rank: 4}\n  b:\n    finetune: {epochs: 2, lora.rank: 4}\n"
    )
    settings = read(text)
    assert settings.variants["a"] == settings.variants["b"] == {"finetune": {"epochs": 2, "lora": {"rank": 4}}}
    own = variant_settings(settings, "a").finetune
    assert (own.epochs, own.lora.rank) == (2, 4)


def test_what_a_variant_does_not_set_is_as_in_the_main_settings(read):
    settings = read("finetune: {seed: 3, epochs: 5}\nvariants:\n  a: {finetune.epochs: 2}\n", "finetune.batch_size=64")
    own = variant_settings(settings, "a")
    assert own.model_copy(update={"finetune": settings.finetune, "variants": settings.variants}) == settings
    assert (own.finetune.seed, own.finetune.batch_size, own.finetune.epochs) == (3, 64, 2)
    assert own.variants == {}
    assert (
        variant_settings(with_overrides(settings, ["finetune.seed=9", "finetune.epochs=9"]), "a").finetune.epochs == 2
    )


def test_paths_are_relative_to_the_file(read, tmp_path):
    (tmp_path / "model").mkdir()
    settings = read("variants:\n  a: {corpus.path: contracts, eval.gold: ../gold, base_model: model}\n")
    own = variant_settings(settings, "a")
    assert (own.corpus.path, own.eval.gold) == (tmp_path / "contracts", tmp_path.parent / "gold")
    assert own.base_model == str(tmp_path / "model")


def test_one_can_be_given_on_the_command_line_and_in_the_environment(read):
    text = "variants:\n  a: {finetune.epochs: 2}\n"
    settings = read(
        text, "variants.a.eval.ks=[1, 10]", "variants.a.corpus.path=here", "variants.new.finetune.learning_rate=1e-3",
        environment={"EMBED_PIPELINE__VARIANTS__A__FINETUNE__SEED": "7"},
    )  # fmt: skip
    own = variant_settings(settings, "a")
    assert (own.finetune.epochs, own.finetune.seed, own.eval.ks) == (2, 7, (1, 10))
    assert own.corpus.path == Path("here").resolve()
    assert variant_settings(settings, "new").finetune.learning_rate == 1e-3
    whole = read("", "variants={a: {finetune.epochs: 4}}")
    assert variant_settings(whole, "a").finetune.epochs == 4


def test_a_variant_whose_lines_are_commented_out_is_the_main_one(read):
    settings = read("variants:\n  a:\n    # finetune.epochs: 3\n  b: {finetune: }\n")
    assert settings.variants == {"a": {}, "b": {}}
    assert read("variants:\n").variants == {}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a: {finetune.epoch: 2}", r"variant a: unknown setting finetune\.epoch \(did you mean finetune\.epochs\?\)"),
        ("a: {finetune.epochs: 0}", r"variant a: finetune\.epochs: .*greater than or equal to 1 \(got 0\)"),
        ("a: {prep.mining_rounds: 2}", r"variant a: prep\.mining_rounds is 2, but finetune\.hard_negatives is 0"),
        ("a: {finetune.epochs: 1, finetune: {epochs: 2}}", r"variant a: finetune\.epochs stands twice"),
        ("a: {finetune: 3, finetune.epochs: 1}", r"variant a: finetune\.epochs stands twice"),
        ("a: {automation.cron: '@daily'}", "variant a: automation cannot differ in a variant"),
        ("a: {executor: multiprocess}", "variant a: executor cannot differ"),
        ("a: {variants: {b: {}}}", "variant a: variants"),
        ("a: {profile: gpu}", "variant a: unknown setting profile"),
        ("a: {corpus.path: ''}", r"corpus\.path is empty"),
        ("a: 3", "variant a must hold settings"),
        ("Big: {}", "'Big' cannot name a variant"),
        ("a__b: {}", "'a__b' cannot name a variant"),
        ("a-b: {}", "'a-b' cannot name a variant"),
        ("1: {}", "'?1'? cannot name a variant"),
        ("[a]", "variants: .*dictionary"),
    ],
)
def test_what_cannot_be_a_variant_is_told_with_the_file(read, text, told):
    with pytest.raises(SettingsError, match=rf"pipeline\.yaml: .*{told}") as refused:
        read(f"variants: {{{text}}}\n" if not text.startswith("[") else f"variants: {text}\n")
    assert str(refused.value).endswith(".")
    assert "\n" not in str(refused.value)


def test_what_may_differ_are_sections_that_there_are():
    assert set(VARIED) <= set(Settings.model_fields)


def test_variants_are_part_of_no_key(read):
    names = list(Settings.model_fields)
    assert read("variants:\n  a: {finetune.epochs: 2}\n").key_part(names) == read("").key_part(names)


def test_overrides_that_make_a_variant_contradict_itself_are_refused(read):
    settings = read("variants:\n  a: {prep.mining_rounds: 2, finetune.hard_negatives: 2}\n")
    with pytest.raises(SettingsError, match=r"variant a: prep\.mining_rounds is 2"):
        with_overrides(settings, ["variants.a.finetune.hard_negatives=0"])
