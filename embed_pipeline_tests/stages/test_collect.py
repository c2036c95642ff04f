"""The graph collects stages by itself: one decorated function is one more asset."""

import json
import subprocess
import sys
from typing import Any

import pytest

from embed_pipeline.stages.collect import declared_stages, in_order
from embed_pipeline.stages.declare import Stage, stage
from embed_pipeline.stages.prep import mined_again

EXTRA = '''
from embed_pipeline.files import write_json
from embed_pipeline.stages.declare import StageRun, stage
from embed_pipeline.stages.eval import metrics  # taken from elsewhere, hence not declared twice
from embed_pipeline.store.artifacts import Artifact


@stage(group="survey", version="1", storage="json", settings=("sdg.seed",), device="gpu", kinds=("python",))
def question_lengths(run: StageRun, qa_pairs: Artifact) -> None:
    """How long the questions are."""
    write_json(run.folder / "lengths.json", qa_pairs.frame()["question"].str.len_chars().to_list())
'''
LOOK = """
import json, sys
import embed_pipeline.stages
embed_pipeline.stages.__path__.append(sys.argv[1])
import dagster as dg
from embed_pipeline.definitions import build_defs
from embed_pipeline.stages.graph import assets_of, selection, stages
from embed_pipeline.settings.sources import load_settings

settings = load_settings(None, None, (), {})
definitions = build_defs(settings)
dg.Definitions.validate_loadable(definitions)
(asset,) = [one for one in definitions.assets if one.key.to_user_string() == "question_lengths"]
node = definitions.resolve_asset_graph().get(asset.key)
print(json.dumps({
    "names": list(stages(settings)),
    "of the group": assets_of("survey", stages(settings)),
    "to": selection("survey", stages(settings)),
    "group": node.group_name,
    "parents": [key.to_user_string() for key in node.parent_keys],
    "pool": asset.op.pool,
    "io manager": asset.get_io_manager_key_for_asset_key(asset.key),
    "description": node.description,
}))
"""


def test_one_decorated_function_is_one_more_asset(tmp_path):
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules" / "survey.py").write_text(EXTRA)
    command = [sys.executable, "-c", LOOK, str(tmp_path / "modules")]
    done = subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, text=True)
    seen = json.loads(done.stdout.splitlines()[-1])
    names = seen.pop("names")
    assert names[-1] == "question_lengths"
    assert names[:-1] == list(in_order(declared_stages(), GROUPS))
    assert seen == {
        "of the group": ["question_lengths"],
        "to": ["corpus_manifest", "documents", "passages", "qa_candidates", "qa_pairs", "question_lengths"],
        "group": "survey",
        "parents": ["qa_pairs"],
        "pool": "gpu",
        "io manager": "folder_io",
        "description": "How long the questions are.",
    }


GROUPS = ("corpus", "sdg", "prep", "finetune", "eval", "export", "deploy")


def toy(name: str, *inputs: str, group: str = "prep", after: tuple[str, ...] = ()) -> Stage:
    """A stage that takes ``inputs``."""
    parameters = ", ".join(("run", *inputs))
    scope: dict[str, Any] = {"__name__": __name__}
    exec(f"def {name}({parameters}): ...", scope)
    return stage(group=group, version="1", storage="json", after=after)(scope[name])


def test_what_is_needed_comes_first_then_the_group_decides_then_the_order_of_the_file():
    given = [
        toy("last", "second", group="elsewhere"),
        toy("judged", "first", group="eval"),
        toy("second", "first"),
        toy("third", "second"),
        toy("gate", group="deploy"),
        toy("first", after=("gate",)),
    ]
    assert list(in_order(given, GROUPS)) == ["gate", "first", "second", "third", "judged", "last"]


def test_an_alternative_is_declared_but_not_part_of_the_graph():
    assert mined_again.alternative
    assert mined_again not in list(declared_stages())


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([toy("one", "two")], "one takes two, which no stage gives"),
        ([toy("one", after=("two",))], "one takes two, which no stage gives"),
        ([toy("one"), toy("one")], r"two stages are called one: in .*test_collect and in .*test_collect"),
        ([toy("one", "two"), toy("two", "one")], "stages take each other: (one, two|two, one)"),
    ],
)
def test_stages_that_do_not_fit_together_are_refused(given, message):
    with pytest.raises(ValueError, match=message):
        in_order(given, GROUPS)


def test_a_stage_that_names_no_setting_is_refused_when_it_is_declared():
    with pytest.raises(ValueError, match=r"export\.nothing: a stage names this setting"):
        stage(group="export", version="1", storage="json", settings=("export.nothing",))
