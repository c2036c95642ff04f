"""What is refused when settings are read, before anything runs: what no run could use, and secrets where they show."""

import pytest

from embed_pipeline.errors import SettingsError
from embed_pipeline.settings.sources import load_settings

SECRET = "hunter2"  # pragma: allowlist secret
MODELS = ("base_model", "finetune.reranker_model", "finetune.teacher", "prep.cross_encoder")
ADDRESSES = (
    f"https://bob:{SECRET}@host.example/v1",
    f"HTTPS://bob:{SECRET}@host.example/v1#m",
    f"ftp://bob:{SECRET}@host.example/model",
    f"bob:{SECRET}@host.example/model",
    f"https://[{SECRET}",
)


def refusal(*overrides: str, profile: str | None = None) -> str:
    with pytest.raises(SettingsError) as refused:
        load_settings(None, profile, overrides, {})
    return str(refused.value)


@pytest.mark.parametrize("address", ADDRESSES)
@pytest.mark.parametrize("setting", MODELS)
def test_an_address_with_a_password_is_refused_and_not_shown(setting, address):
    said = refusal(f"{setting}={address}")
    assert SECRET not in said
    assert setting in said


def test_nor_is_it_shown_from_a_file_a_variable_a_section_or_a_variant(tmp_path):
    address = ADDRESSES[0]
    file = tmp_path / "pipeline.yaml"
    file.write_text(f"finetune: {{reranker_model: '{address}'}}\n")
    with pytest.raises(SettingsError) as refused:
        load_settings(file, None, [], {})
    assert SECRET not in str(refused.value)
    with pytest.raises(SettingsError) as refused:
        load_settings(None, None, [], {"EMBED_PIPELINE__BASE_MODEL": address})
    assert SECRET not in str(refused.value)
    for override in (
        f"finetune={{teacher: '{address}'}}",
        f"variants.one.base_model={address}",
        f"variants={{one: {{finetune.reranker_model: '{address}'}}}}",
        f"eval.candidates=['{address}']",
        f"eval.candidates=['{ADDRESSES[1]}']",
        f"eval.candidates=['{ADDRESSES[2]}']",
    ):
        assert SECRET not in refusal(override)


def test_models_that_are_none_are_still_named(tmp_path):
    folder = tmp_path / "a@b"
    folder.mkdir()
    for name in (str(folder), "owner/name", "package:some_thing", "/nowhere/a@b", "./x@y", "~/x@y"):
        assert load_settings(None, None, [f"base_model={name}"], {}).base_model.endswith(name.lstrip(".~"))
    assert "'3'" in refusal("prep.hard_negative_margin=3")


@pytest.mark.parametrize(
    "setting",
    [
        *("finetune.learning_rate", "finetune.temperature", "finetune.reranker_learning_rate", "finetune.weight_decay"),
        *("finetune.max_grad_norm", "finetune.false_negative_margin", "prep.hard_negative_absolute_margin"),
        *("sdg.llm.timeout_seconds", "sdg.questions_per_passage", "sdg.query_mix.keyword"),
    ],
)
@pytest.mark.parametrize("value", ["inf", ".inf", "-inf", "nan", "1e999"])
def test_a_number_that_is_none_or_infinite_is_refused(setting, value):
    assert setting in refusal(f"{setting}={value}")


def test_a_factor_of_the_sweep_is_finite_too():
    assert "sweep.learning_rate_factors" in refusal("sweep.learning_rate_factors=[.inf]")


def test_a_weight_of_imported_questions_needs_some(tmp_path):
    assert "sdg.import_from names no questions" in refusal("prep.imported_weight=3")
    questions = tmp_path / "q.jsonl"
    questions.write_text("{}\n")
    given = ["prep.imported_weight=3", f"sdg.import_from={questions}"]
    assert load_settings(None, None, given, {}).prep.imported_weight == 3
    variant = f"variants={{brought: {{sdg.import_from: '{questions}', prep.imported_weight: 3}}}}"
    assert load_settings(None, None, [variant], {}).prep.imported_weight == 1
    assert "prep.imported_weight" in refusal("variants={one: {prep.imported_weight: 3}}")


def test_what_is_validated_on_needs_validation_questions():
    none = ("prep.validation_ratio=0", "prep.train_ratio=0.9")
    assert "prep.validation_ratio is 0" in refusal("finetune.validate_on=hybrid", *none)
    load_settings(None, None, none, {})


@pytest.mark.parametrize(
    ("given", "mined"),
    [(["finetune.reranker_negatives=6"], 5), (["prep.hard_negatives=3"], 3), (["prep.hard_negatives=0"], 0)],
)
def test_a_reranker_asks_for_no_more_negatives_than_are_mined(given, mined):
    assert f"prep.hard_negatives is {mined}" in refusal("finetune.reranker=true", *given)
    load_settings(None, None, given, {})  # where there is no reranker, nobody asks
    load_settings(
        None, None, ["finetune.reranker=true", *given, "finetune.reranker_negatives=1", "prep.hard_negatives=1"], {}
    )
