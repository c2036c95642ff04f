"""The commands about variants where nothing is computed yet, and what cannot be promoted."""

import pytest

from embed_pipeline.cli.options import Context
from embed_pipeline.cli.promote import promote_named
from embed_pipeline.cli.variants import print_overview, variants_overview
from embed_pipeline.errors import SettingsError
from embed_pipeline.settings.promotion import variant_values
from embed_pipeline.settings.sources import load_settings

FILE = "finetune: {epochs: 3}\nvariants:\n  contracts: {corpus.path: c}\n  thorough: {finetune: {epochs: 2, seed: 1}}\n"


@pytest.fixture
def context(tmp_path):
    file = tmp_path / "pipeline.yaml"
    file.write_text(FILE)

    def context(*overrides: str, **options: object) -> Context:
        chosen = {
            "config": file,
            "home": tmp_path / "home",
            "corpus": None,
            "profile": None,
            "as_json": False,
        } | options
        return Context.of(overrides=list(overrides), **chosen)

    return context


def test_what_is_promoted_is_what_the_file_says(context, tmp_path):
    file = context().config
    assert variant_values(file, "thorough") == {"finetune.epochs": 2, "finetune.seed": 1}
    assert variant_values(file, "contracts") == {"corpus.path": "c"}  # relative, as written


def test_what_cannot_be_promoted_is_refused_before_anything_is_written(context, tmp_path, monkeypatch):
    for name, options, told in [
        ("thorogh", {}, r"did you mean thorough"),
        ("all", {}, "run all is not in the history"),
        ("contracts", {"corpus": str(tmp_path)}, r"--set corpus\.path=.*: would hide corpus\.path of variant"),
    ]:
        with pytest.raises(SettingsError, match=told):
            promote_named(context(**options), name, plan=False)
    for override in ("finetune.epochs=5", "finetune={epochs: 5}"):
        with pytest.raises(SettingsError, match=r"would hide finetune\.epochs of variant thorough"):
            promote_named(context(override), "thorough", plan=False)
    with pytest.raises(SettingsError, match=r"pipeline\.yaml: declares no variant late"):
        promote_named(context("variants.late.finetune.seed=1"), "late", plan=False)
    monkeypatch.chdir(tmp_path.parent)
    with pytest.raises(SettingsError, match="name one with --config"):
        promote_named(context("variants.late.finetune.seed=1", config=None), "late", plan=False)
    monkeypatch.setenv("EMBED_PIPELINE__FINETUNE__SEED", "9")
    with pytest.raises(SettingsError, match=r"EMBED_PIPELINE__FINETUNE__SEED: would hide finetune\.seed"):
        promote_named(context(), "thorough", plan=False)
    assert (tmp_path / "pipeline.yaml").read_text() == FILE


def test_before_anything_is_computed_the_table_says_so(context, tmp_path, capsys):
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "a.md").write_text("# Title\n\nText.\n")
    overview = variants_overview(context(f"corpus.path={tmp_path / 'c'}").settings, tmp_path / "home")
    assert [(one["variant"], one["state"], one["results"]) for one in overview] == [
        ("main", "missing", []), ("contracts", "missing", []), ("thorough", "missing", [])
    ]  # fmt: skip
    assert overview[2]["differs"] == {"finetune.epochs": 2, "finetune.seed": 1}
    assert "contracts__" not in str(overview[1]["missing"])  # it names the folder of the main settings
    print_overview(overview)
    assert "thorough: finetune.epochs: 2, finetune.seed: 1; not computed: documents" in capsys.readouterr().out
    print_overview(
        variants_overview(load_settings(None, None, [f"corpus.path={tmp_path / 'c'}"], {}), tmp_path / "home")
    )
    assert "no variants; declare them" in capsys.readouterr().out
