"""A check that has passed is known by what it looked at."""

from embed_pipeline.store.passed_checks import PassedChecks


def test_a_pass_is_known_for_these_versions_and_settings_alone(tmp_path):
    passed = PassedChecks(tmp_path)
    versions, settings = {"metrics": "v1"}, {"deploy.block_on_no_gain": False}
    assert not passed.has("verdict", versions, settings)
    passed.add("verdict", versions, settings, "run")
    passed.add("verdict", versions, settings, "another run")
    assert PassedChecks(tmp_path).has("verdict", versions, settings)
    assert not passed.has("verdict", {"metrics": "v2"}, settings)
    assert not passed.has("verdict", versions, {"deploy.block_on_no_gain": True})
    assert not passed.has("another", versions, settings)
    assert len(list((tmp_path / "checks").iterdir())) == 1
