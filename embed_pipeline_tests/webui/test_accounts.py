"""The access file."""

import json

import pytest

from embed_pipeline.errors import SettingsError
from embed_pipeline.webui.accounts import Accounts, add_user, remove_user

PASSWORD = "correct horse battery"  # pragma: allowlist secret


def test_a_password_lets_in_and_is_not_kept(tmp_path):
    path = tmp_path / "access.json"
    assert add_user(path, "anna", "operator", PASSWORD) is None
    add_user(path, "bob", "viewer", PASSWORD)
    assert path.stat().st_mode & 0o777 == 0o600
    assert PASSWORD not in path.read_text()
    accounts = Accounts(path)
    anna, bob = accounts.with_password("anna", PASSWORD), accounts.with_password("bob", PASSWORD)
    assert (anna.name, anna.may_run, bob.may_run) == ("anna", True, False)
    assert anna.proof != bob.proof  # salted
    assert accounts.with_password("anna", PASSWORD + " ") is None
    assert accounts.with_password("nobody", PASSWORD) is None
    assert accounts.with_token(PASSWORD) is None


def test_a_token_lets_in_and_is_not_kept(tmp_path):
    path = tmp_path / "access.json"
    token = add_user(path, "ci", "viewer", None)
    assert len(token) > 40
    assert token not in path.read_text()
    accounts = Accounts(path)
    assert accounts.with_token(token).name == "ci"
    assert accounts.with_token(token[:-1]) is None
    assert accounts.with_token("") is None
    assert accounts.with_password("ci", token) is None


def test_a_user_is_changed_and_removed(tmp_path):
    path = tmp_path / "access.json"
    add_user(path, "anna", "operator", PASSWORD)
    add_user(path, "anna", "viewer", PASSWORD + "2")
    assert Accounts(path).with_password("anna", PASSWORD) is None
    assert not Accounts(path).with_password("anna", PASSWORD + "2").may_run
    remove_user(path, "anna")
    assert Accounts(path).names == []
    with pytest.raises(SettingsError, match="no user anna"):
        remove_user(path, "anna")


@pytest.mark.parametrize(
    ("name", "role", "password", "message"),
    [("", "viewer", PASSWORD, "no user name"), ("a b", "viewer", PASSWORD, "no user name"),
     ("anna", "admin", PASSWORD, "viewer and operator"), ("anna", "viewer", "short", "fewer than 10")],
)  # fmt: skip
def test_what_is_no_good_is_refused_and_nothing_is_written(tmp_path, name, role, password, message):
    with pytest.raises(SettingsError, match=message):
        add_user(tmp_path / "access.json", name, role, password)
    assert not (tmp_path / "access.json").exists()


def test_a_file_that_others_may_read_is_refused(tmp_path):
    path = tmp_path / "access.json"
    add_user(path, "anna", "operator", PASSWORD)
    path.chmod(0o640)
    with pytest.raises(SettingsError, match=f"chmod 600 {path}"):
        Accounts(path)


@pytest.mark.parametrize(
    "users",
    [[], {"a": {"role": "viewer"}}, {"a": {"role": "root", "token": "00"}}, {"a": {"role": "viewer", "password": "x"}},
     # pragma: allowlist nextline secret
     {"a": {"role": "viewer", "password": "scrypt$a$8$1$00$00"}}, {"a": {"role": "viewer", "token": "xyz"}}, {"a": 1}],
)  # fmt: skip
def test_a_file_that_is_none_is_refused(tmp_path, users):
    path = tmp_path / "access.json"
    path.write_text(json.dumps({"users": users}))
    path.chmod(0o600)
    with pytest.raises(SettingsError, match="no access file"):
        Accounts(path)
    with pytest.raises(SettingsError, match="no such access file"):
        Accounts(tmp_path / "none.json")
