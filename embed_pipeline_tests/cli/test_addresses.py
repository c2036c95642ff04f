"""Commands on a corpus at an address, as a user gives them."""

import json

import pytest
from typer.testing import CliRunner

from embed_pipeline.cli.app import app
from embed_pipeline.errors import InputError, SettingsError
from embed_pipeline_tests.corpus.addresses.conftest import zipped
from embed_pipeline_tests.corpus.addresses.web_server import Page, WebServer

WORD = "hunter2"
TEXT = "The loft warden checks the skein before every lofting and writes it into the gust ledger."


@pytest.fixture
def server():
    with WebServer().serving() as running:
        running.pages["/docs.zip"] = Page(zipped({"a.md": TEXT, "b.md": TEXT * 2, "p.png": "x"}), etag='"one"')
        yield running


def invoke(*words):
    return CliRunner().invoke(app, [*words])


def test_the_plan_and_the_doctor_fetch_nothing(server, tmp_path):
    given = ["--corpus", f"{server.url}/docs.zip", "--home", str(tmp_path / "home"), "--json"]
    plan = invoke("run", "--plan", "--to", "documents", *given)
    assert plan.exit_code == 0, plan.output
    assert [one["action"] for one in json.loads(plan.stdout)["assets"]] == ["compute", "compute"]
    checks = {one["check"]: one for one in json.loads(invoke("doctor", *given).stdout)["checks"]}
    assert checks["corpus"]["detail"].endswith(f"{server.url}/docs.zip; nothing was fetched")
    assert server.gets() == []
    assert not (tmp_path / "home").exists()


def test_a_preview_shows_documents_and_keeps_nothing(server, tmp_path):
    given = ["--corpus", f"{server.url}/docs.zip", "--home", str(tmp_path / "home"), "--json"]
    found = json.loads(invoke("preview", "a.md", *given).stdout)
    assert (found["corpus"], found["readable"], found["chosen"]) == (f"{server.url}/docs.zip", 2, 1)
    assert found["documents"][0]["lines"] == [TEXT]
    assert found["skipped"] == [{"path": "p.png", "reason": "unsupported format .png"}]
    assert not (tmp_path / "home").exists()


def test_what_is_wrong_with_an_address_is_one_sentence(server, tmp_path):
    home = ["--home", str(tmp_path / "home")]
    gone = invoke("run", "--plan", "--corpus", f"{server.url}/none.zip", *home)
    secret = invoke("run", "--plan", "--corpus", f"s3://key:{WORD}@bucket/x", *home)
    assert isinstance(gone.exception, InputError) and isinstance(secret.exception, SettingsError)
    assert "there is nothing at this address (404)" in str(gone.exception)
    assert "credentials come from the environment alone" in str(secret.exception)
    assert WORD not in str(secret.exception) + secret.output
