"""What a run of the launchpad must not change: found by declaration, and demanded of every setting there is."""

import re
import typing
from collections.abc import Iterator
from functools import reduce
from pathlib import Path

import pytest
from pydantic import BaseModel

from embed_pipeline.defs.resources import PipelineResource
from embed_pipeline.errors import SettingsError
from embed_pipeline.settings import Settings, sections_of
from embed_pipeline.settings.places import PLACES
from embed_pipeline.settings.protected import protected_settings, refuse_protected
from embed_pipeline.settings.sources import load_settings

TELLING = re.compile(
    r"(url|uri|host|address|webhook|endpoint|proxy|header|_env|variable|secret|token$|password|model$|teacher|encoder$|"
    r"trust|code$|command|script|revision|sha256|path|folder|file$)"
)
"""Parts of a name that tell of an address, a secret, code, a model or a file."""
HARMLESS = {
    "deploy.model": "which of the exported graphs is served",
}


def every_setting(model: type[BaseModel] = Settings, prefix: str = "") -> Iterator[tuple[str, typing.Any]]:
    for name, field in model.model_fields.items():
        section = sections_of(model).get(name)
        if section is not None:
            yield from every_setting(section, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", field.annotation


def kinds_in(annotation: typing.Any) -> set[typing.Any]:
    inner = typing.get_args(annotation)
    return {annotation}.union(*(kinds_in(one) for one in inner)) if inner else {annotation}


def test_every_setting_that_names_a_file_or_folder_is_relative_to_the_settings_file():
    assert {name for name, annotation in every_setting() if Path in kinds_in(annotation)} <= set(PLACES)


def test_every_setting_that_names_a_place_a_secret_a_model_or_a_file_is_protected():
    marked = dict(protected_settings())
    telling = {
        name
        for name, annotation in every_setting()
        if Path in kinds_in(annotation) or (TELLING.search(name.rpartition(".")[2]) and str in kinds_in(annotation))
    }
    assert telling - set(marked) - set(HARMLESS) == set()
    assert {
        name: kind
        for name, kind in marked.items()
        if name.startswith(("sdg.llm", "encoder", "base")) and kind != "money"
    } == {
        "base_model": "model",
        "encoder.revision": "code",
        "encoder.sha256": "code",
        "encoder.trust_remote_code": "code",
        "sdg.llm.base_url": "address",
        "sdg.llm.exclude": "address",
        "sdg.llm.model": "model",
        "sdg.llm.judge_model": "model",
        "sdg.llm.api_key_env": "secret",  # pragma: allowlist secret
        "sdg.llm.allowed_key_variables": "secret",
    }


@pytest.fixture
def base(tmp_path) -> Settings:
    (tmp_path / "corpus" / "part").mkdir(parents=True)
    given = ["sdg.llm.base_url=https://llm.example/v1", "sdg.llm.model=writer", "launchpad.models=[a/listed]"]
    given += ["sdg.budget_usd=1", "sdg.llm.prompt_price=1", "sdg.llm.completion_price=1", "sdg.budget_tokens=1000"]
    return load_settings(None, None, [f"corpus.path={tmp_path / 'corpus'}", *given], {})


@pytest.mark.parametrize(
    "override",
    [
        "sdg.llm.base_url=http://evil.example/v1",
        "sdg.llm={base_url: 'http://evil.example/v1', model: writer}",
        "sdg={llm: {base_url: 'http://evil.example/v1', model: writer}}",
        "sdg.llm.api_key_env=HOME_API_KEY",
        "sdg.llm.allowed_key_variables=[HOME]",
        "base_model=other/model",
        "finetune.teacher=other/model",
        "prep.cross_encoder=other/model",
        "launchpad.models=[other/model]",
        "encoder.trust_remote_code=true",
        "encoder.revision=abc",
        "corpus.path=/etc",
        "corpus.include=['*']",
        "corpus.exclude=[drafts/]",
        "sdg.llm.exclude=[hr/]",
        "eval.gold=/etc",
        "sdg.prompts=/etc",
        "sdg.prompts=part",
        "sdg.budget_usd=1e9",
        "sdg.budget_tokens=null",
        "sdg.llm.prompt_price=0",
        "sdg.import_from=/etc/passwd",
        "deploy.host=0.0.0.0",
    ],
)
def test_a_protected_setting_is_refused_by_name_however_it_is_written(base, override):
    with pytest.raises(SettingsError, match=r"cannot be changed for one run in the launchpad") as refused:
        PipelineResource(overrides=["finetune.epochs=2", override]).settings(base)
    name = next(name for name, _ in protected_settings() if str(refused.value).startswith(f"{name} "))
    assert name.startswith(override.split("=")[0])
    assert "evil.example" not in str(refused.value)


@pytest.mark.parametrize(
    "override",
    ["finetune.epochs=2", "base_model=a/listed", "sdg.llm.model=a/listed", "sdg.llm.judge_model=writer",
     "sdg.llm.base_url=https://llm.example/v1", "sdg.llm.temperature=0.1"],
)  # fmt: skip
def test_the_rest_the_listed_and_what_is_in_use_may_be_chosen(base, override):
    name, _, value = override.partition("=")
    chosen = PipelineResource(overrides=[override]).settings(base)
    assert str(reduce(getattr, name.split("."), chosen)) == value


def test_files_of_the_corpus_and_of_the_home_may_be_chosen(base, tmp_path):
    (tmp_path / "home").mkdir()
    refuse_protected(base, [f"corpus.path={tmp_path / 'corpus' / 'part'}"])
    refuse_protected(base, [f"eval.gold={tmp_path / 'home'}"], tmp_path / "home")
    (tmp_path / "corpus" / "link").symlink_to("/etc")
    for outside in (tmp_path / "home", tmp_path / "corpus" / ".." / "home", tmp_path / "corpus" / "link"):
        with pytest.raises(SettingsError, match=r"eval\.gold decides which files are read"):
            refuse_protected(base, [f"eval.gold={outside}"])


@pytest.mark.parametrize("name", ["HOME", "AWS_SECRET_ACCESS_KEY", "MY_API_KEY ", "A=B_API_KEY", "GITHUB_TOKEN"])
def test_the_key_comes_from_a_variable_that_is_named_like_one(name):
    with pytest.raises(SettingsError, match=r"the name of a key ends in _API_KEY"):
        load_settings(None, None, [f"sdg.llm.api_key_env='{name}'"], {})
    listed = load_settings(
        None, None, [f"sdg.llm.api_key_env='{name}'", f"sdg.llm.allowed_key_variables=['{name}']"], {}
    )
    assert listed.sdg.llm.api_key_env == name


def test_a_variable_named_like_a_key_may_be_read():
    # pragma: allowlist nextline secret
    assert load_settings(None, None, ["sdg.llm.api_key_env=OPENAI_API_KEY"], {}).sdg.llm.api_key_env == "OPENAI_API_KEY"


def test_protection_is_the_reason_given_even_where_the_value_would_not_fit():
    bare = load_settings(None, None, [], {})
    with pytest.raises(SettingsError, match=r"^sdg.llm.base_url decides where data goes"):
        refuse_protected(bare, ["sdg.llm.base_url=http://evil.example/v1"])  # which needs a model besides
    with pytest.raises(SettingsError, match=r"unknown setting"):
        refuse_protected(bare, ["sdg.llm.base_ulr=http://evil.example/v1"])
