"""The job ``promote``: what it starts, and that its refusal is the sentence of the command."""

import dagster as dg
import pytest

from embed_pipeline.defs import promotion
from embed_pipeline.defs.promotion import build_promotion


def promote(home, instance, run_id):
    config = {
        "ops": {"promote_run": {"config": {"run_id": run_id}}},
        "loggers": {"console": {"config": {"log_level": "CRITICAL"}}},
    }
    return build_promotion(home).execute_in_process(config, instance, raise_on_error=False)


def test_an_unknown_run_is_refused_in_the_words_of_the_command(tmp_path, instance, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = promote(tmp_path / "home", instance, "abcd")
    assert not result.success
    failure = result.failure_data_for_node("promote_run").user_failure_data
    assert failure.description.startswith("run abcd is not in the history of")
    assert failure.metadata["exit_code"].value == 2


def test_the_command_works_with_what_the_web_ui_works_with(tmp_path, monkeypatch):
    monkeypatch.setenv("EMBED_PIPELINE_CONFIG", "/a/pipeline.yaml")
    monkeypatch.setenv("EMBED_PIPELINE_PROFILE", "gpu")
    monkeypatch.setenv("EMBED_PIPELINE_OVERRIDES", '["deploy.port=8888"]')
    command = promotion._command(tmp_path, "abcd")
    assert command[3:] == [
        *("promote", "abcd", "--home", str(tmp_path)),
        *("--config", "/a/pipeline.yaml", "--profile", "gpu", "--set", "deploy.port=8888"),
    ]


def test_no_environment_variable_is_read_for_it(tmp_path, instance, monkeypatch):
    monkeypatch.setenv("TEST_API_KEY", "canary")
    with pytest.raises(dg.DagsterInvalidConfigError) as refused:
        promote(tmp_path / "home", instance, {"env": "TEST_API_KEY"})
    assert "canary" not in str(refused.value)
