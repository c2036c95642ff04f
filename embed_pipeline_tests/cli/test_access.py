"""``access``, and what ``ui`` refuses without it."""

import json

import pytest
from typer.testing import CliRunner

from embed_pipeline.cli.access import PASSWORD_VARIABLE
from embed_pipeline.cli.app import app
from embed_pipeline.errors import SettingsError
from embed_pipeline.webui import supervisor
from embed_pipeline.webui.accounts import Accounts

PASSWORD = "correct horse battery"  # pragma: allowlist secret


@pytest.fixture(autouse=True)
def _folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def invoke(*arguments, **options):
    return CliRunner().invoke(app, arguments, **options)


def test_a_password_is_asked_for_twice_and_not_shown(tmp_path):
    added = invoke("access", "add", "anna", "--role", "operator", "--home", "here", input=f"{PASSWORD}\n{PASSWORD}\n")
    assert added.exit_code == 0, added.output
    assert PASSWORD not in added.output
    assert Accounts(tmp_path / "here" / "access.json").with_password("anna", PASSWORD).may_run
    assert invoke("access", "list", "--home", "here").stdout == "anna: operator\n"


def test_a_password_from_the_environment_and_a_token(tmp_path, monkeypatch):
    monkeypatch.setenv(PASSWORD_VARIABLE, PASSWORD)
    assert invoke("access", "add", "vera", "--role", "viewer", "--access", "mine.json").exit_code == 0
    made = json.loads(
        invoke("access", "add", "ci", "--role", "viewer", "--token", "--access", "mine.json", "--json").stdout
    )
    accounts = Accounts(tmp_path / "mine.json")
    assert accounts.with_password("vera", PASSWORD).name == "vera"
    assert accounts.with_token(made["token"]).name == "ci"
    assert invoke("access", "remove", "vera", "--access", "mine.json").exit_code == 0
    assert Accounts(tmp_path / "mine.json").names == ["ci"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["grant", "anna"], "there are add, remove, list"),
        (["add"], "name the user"),
        (["add", "anna"], "--role is missing"),
        (["add", "anna", "--role", "boss", "--token"], "viewer and operator"),
        (["remove", "anna"], "no such access file"),
        (["list"], "no such access file"),
    ],
)
def test_what_is_wrong_is_told(words, message):
    refused = invoke("access", *words)
    assert isinstance(refused.exception, SettingsError)
    assert message in str(refused.exception)


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.0.7", "::"])
def test_on_a_network_it_is_not_served_without_users(host):
    refused = invoke("ui", "--host", host)
    assert isinstance(refused.exception, SettingsError)
    assert "embed-pipeline access add NAME --role operator" in str(refused.exception)


def test_an_access_file_that_was_named_must_be_there():
    refused = invoke("ui", "--access", "none.json")
    assert isinstance(refused.exception, SettingsError)
    assert "no such access file" in str(refused.exception)


def test_a_name_that_is_none_is_refused():
    refused = invoke("ui", "--allow-host", "http://embed.example.org/")
    assert isinstance(refused.exception, SettingsError)
    assert "--allow-host" in str(refused.exception)


def test_the_access_file_of_the_home_is_used(tmp_path, monkeypatch):
    served = []

    def serve(home, source, serving, announce):
        served.append(serving)
        return 0

    monkeypatch.setattr(supervisor, "serve_ui", serve)
    assert invoke("ui", "--home", "here").exit_code == 0
    invoke("access", "add", "ci", "--role", "viewer", "--token", "--home", "here")
    assert invoke("ui", "--home", "here", "--host", "0.0.0.0").exit_code == 0
    assert [one.access for one in served] == [None, tmp_path / "here" / "access.json"]
