"""What doctor says of the settings: who writes the questions."""

import pytest

from embed_pipeline.cli.doctor import _llm
from embed_pipeline.settings.sources import load_settings

LLM = ("sdg.llm.base_url=http://127.0.0.1:9/v1", "sdg.llm.model=writer")


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        ((), "none configured: the offline generator writes the questions"),
        (("sdg.import_from={file}",), "none configured: the questions are those of sdg.import_from {file}"),
        (
            ("sdg.import_from={file}", "sdg.also_generate=true"),
            "none configured: the offline generator writes the questions, beside those of sdg.import_from {file}",
        ),
        ((*LLM, "sdg.engine=offline"), "not needed: the offline generator writes the questions"),
        ((*LLM, "sdg.import_from={file}"), "not needed: the questions are those of sdg.import_from {file}"),
    ],
)
def test_who_writes_the_questions(tmp_path, overrides, said):
    file = tmp_path / "questions.jsonl"
    file.write_text("{}\n")
    found = _llm(load_settings(None, None, [one.format(file=file) for one in overrides], {}))
    assert (found["state"], found["detail"]) == ("ok", said.format(file=file))


@pytest.mark.parametrize("more", [(), ("sdg.import_from={file}", "prep.denoise=llm")])
def test_a_language_model_that_is_needed_is_asked(tmp_path, more):
    file = tmp_path / "questions.jsonl"
    file.write_text("{}\n")
    found = _llm(load_settings(None, None, [*LLM, *(one.format(file=file) for one in more)], {}))
    assert found["state"] == "fail"
    assert "cannot be reached" in found["detail"]
