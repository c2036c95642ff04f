"""Names of assets in variants."""

import pytest

from embed_pipeline.store.names import plain_name, variant_asset, variant_of


@pytest.mark.parametrize("asset", ["checkpoint", "checkpoint_round_1", "sweep_comparison"])
def test_a_name_is_taken_apart_as_it_was_put_together(asset):
    for variant in ("contracts", "more_epochs"):
        name = variant_asset(variant, asset)
        assert (variant_of(name), plain_name(name)) == (variant, asset)
    assert (variant_of(asset), plain_name(asset)) == (None, asset)
