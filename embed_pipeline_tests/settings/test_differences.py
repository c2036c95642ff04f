"""What the record of a run says about settings."""

import subprocess

import pytest

from embed_pipeline.settings.differences import changed_settings, git_revision
from embed_pipeline.settings.sources import load_settings


def test_only_what_differs_from_the_profile_is_told():
    assert changed_settings(load_settings(None, None, (), {})) == {"profile": "cpu", "settings": {}}
    gpu = changed_settings(load_settings(None, "gpu", ["finetune.epochs=9"], {}))
    assert gpu == {"profile": "gpu", "settings": {"finetune.epochs": 9}}


def test_what_stands_behind_an_address_is_not_told():
    address = "https://llm.example/v1?key=secret#secret"  # pragma: allowlist secret
    told = changed_settings(load_settings(None, None, [f"sdg.llm.base_url={address}", "sdg.llm.model=m"], {}))
    assert told["settings"]["sdg.llm.base_url"] == "https://llm.example/v1"


def test_the_revision_of_a_settings_file(tmp_path):
    file = tmp_path / "pipeline.yaml"
    file.write_text("finetune: {epochs: 3}\n")
    assert git_revision(file) is None
    assert git_revision(None) is None
    git = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@example.com"]
    try:
        for words in (["init", "-q"], ["add", "."], ["commit", "-qm", "first"]):
            subprocess.run([*git, *words], check=True)
    except FileNotFoundError:
        pytest.skip("git is not installed")
    clean = git_revision(file)
    assert clean is not None
    assert len(clean) == 40
    file.write_text("finetune: {epochs: 4}\n")
    assert git_revision(file) == f"{clean}-dirty"
