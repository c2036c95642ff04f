"""Keys of homes made long ago: what a new setting, or a new field of a spec, must leave as it is."""

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict, Field

from embed_pipeline.encoders.spec import EncoderSpec
from embed_pipeline.files import sha256_json
from embed_pipeline.settings import Settings
from embed_pipeline.settings.section import (
    Section,
    added,
    formerly_keyed,
    in_key,
    is_added,
    keyed,
    runtime,
    sections_of,
)
from embed_pipeline.settings.sources import load_settings
from embed_pipeline.stages.graph import stages

FIRST = json.loads((Path(__file__).parent / "keys_of_first_homes.json").read_text("utf-8"))
SPEC = EncoderSpec(
    model="/somewhere", content_sha256="0" * 64, max_query_length=128, max_passage_length=256, dimensions=(384,)
)


TAKEN_SINCE = ("finetune.crop", "finetune.same_document_share", "finetune.dropout")
"""What the profile cpu sets now and did not then."""


@pytest.mark.parametrize("profile", ["cpu", "gpu"])
def test_the_settings_part_of_every_key_is_that_of_the_first_homes(profile):
    before = [f"{name}={json.dumps(_default(name))}" for name in TAKEN_SINCE]
    settings = load_settings(None, profile, ["sweep.enabled=true", *before], {})
    now = {name: sha256_json(stage.settings_part(settings)) for name, stage in stages(settings).items()}
    changed = [name for name, part in FIRST[profile].items() if now[name] != part]
    assert changed == [], "every home would be computed anew; declare new settings with added() or runtime()"


def _default(name: str):
    section, _, field = name.partition(".")
    return sections_of(Settings)[section].model_fields[field].default


def test_the_version_of_a_spec_is_that_of_the_first_homes():
    assert SPEC.version() == FIRST["encoder_spec"]
    assert SPEC.model_copy(update={"model": "/elsewhere"}).version() == SPEC.version()
    assert SPEC.model_copy(update={"query_prompt": "query: "}).version() != SPEC.version()


def always_keyed(model: type[BaseModel], prefix: str = "") -> set[str]:
    """Dotted names of what enters a key whatever its value."""
    names = set()
    for name in model.model_fields:
        section = sections_of(model).get(name)
        if section is not None and not is_added(model, name):
            names |= always_keyed(section, f"{prefix}{name}.")
        elif in_key(model, name) and not is_added(model, name):
            names.add(f"{prefix}{name}")
    return names


def test_no_setting_has_joined_those_that_are_always_part_of_a_key():
    assert sorted(always_keyed(Settings)) == FIRST["always_keyed"], (
        "a new setting is declared with added() or runtime(), see embed_pipeline/settings/section.py"
    )


class Inner(Section):
    old: int = Field(1)
    new: tuple[int, ...] = added((1, 2), "came later")


class Later(Section):
    width: int = Field(3)
    device: str = runtime("cpu", "cannot change a result")


class Outer(Section):
    inner: Inner = Inner()
    path: str | None = added(None, "came later")
    limit: int | None = added(7, "came later without a limit; its default was set since", unkeyed=None)
    count: int = added(5, "came later, and its default was raised since", unkeyed=4)
    later: Later = added(Later(), "a whole section that came later")
    apart: int = added(1, "for the one stage that names it", with_section=False)


@pytest.mark.parametrize(
    ("given", "key"),
    [
        ({}, {}),
        ({"count": 5, "limit": 7}, {"count": 5, "limit": 7}),
        ({"inner": {"new": (1,)}}, {"inner": {"old": 1, "new": [1]}}),
        ({"path": "x"}, {"path": "x"}),
        ({"apart": 2}, {}),
        ({"later": {"device": "cuda"}}, {}),
        ({"later": {"width": 9}}, {"later": {"width": 9}}),
    ],
)
def test_an_added_setting_enters_a_key_only_where_it_differs(given: dict[str, Any], key: dict[str, Any]):
    as_before = {"count": 4, "limit": None}
    assert keyed(Outer.model_validate(as_before | given)) == {"inner": {"old": 1}} | key


def test_a_default_that_was_changed_since_is_part_of_the_key():
    assert keyed(Outer()) == {"inner": {"old": 1}, "count": 5, "limit": 7}


def test_where_the_endpoint_listens_changes_no_key():
    elsewhere = load_settings(None, "cpu", ["deploy.host=0.0.0.0", "deploy.port=9000"], {})
    assert elsewhere.key_part(["deploy", "deploy.port"]) == Settings().key_part(["deploy", "deploy.port"])


def test_how_words_are_compared_counts_where_it_is_not_the_default():
    plain = load_settings(None, "cpu", [], {}).key_part(["eval"])
    assert "bm25" not in plain["eval"]
    chosen = load_settings(None, "cpu", ["eval.bm25.k1=1.2", "eval.bm25.b=0.4"], {}).key_part(["eval"])
    assert chosen["eval"] == plain["eval"] | {"bm25": {"k1": 1.2}}


def test_a_teacher_counts_by_its_content_wherever_it_lies():
    given = ["finetune.objective=kl", "finetune.hard_negatives=1"]
    here, there = (load_settings(None, "cpu", [*given, f"finetune.teacher=/{place}"], {}) for place in ("a", "b"))
    graph = stages(here)
    assert graph["checkpoint"].settings_part(here) == graph["checkpoint"].settings_part(there)
    assert "teacher" in graph["checkpoint"].external(here)


def test_what_stands_apart_counts_only_for_those_who_name_it():
    class More(Settings):
        outer: Outer = added(Outer(count=4, limit=None), "a whole section that came later")

    changed = More(outer=Outer(count=4, limit=None, apart=2))
    assert changed.key_part(["outer"]) == More().key_part(["outer"])
    assert changed.key_part(["outer", "outer.apart"]) == {**More().key_part(["outer"]), "outer.apart": 2}
    assert More().key_part(["outer.apart"]) == {}


def test_what_was_keyed_formerly_stands_in_the_key_with_its_default():
    class Place(Section):
        port: int = formerly_keyed(8808, "no result depends on it")

    assert keyed(Place(port=9)) == {"port": 8808}


def test_a_section_that_came_later_leaves_the_keys_of_its_stage_as_they_are():
    class More(Settings):
        later: Later = added(Later(), "a whole section that came later")

    assert More().key_part(["finetune", "later"]) == Settings().key_part(["finetune"])
    assert More(later=Later(device="cuda")).key_part(["later"]) == {}
    assert More(later=Later(width=9)).key_part(["later", "later.width"]) == {"later": {"width": 9}, "later.width": 9}


def test_a_field_added_to_a_spec_leaves_its_version_as_it_is():
    class Wider(EncoderSpec):
        model_config = ConfigDict(frozen=True, extra="forbid")
        similarity: str = added("cosine", "came later")

    values = SPEC.model_dump()
    assert Wider(**values).version() == SPEC.version()
    assert Wider(**values, similarity="dot").version() != SPEC.version()
