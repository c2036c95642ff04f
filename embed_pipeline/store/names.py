"""Names of assets: ``checkpoint`` of the main graph, ``contracts__checkpoint`` of the variant contracts.

One name everywhere: folder in the store, Dagster's asset, command line.
"""

SEPARATOR = "__"


def variant_asset(variant: str, asset: str) -> str:
    """``("contracts", "checkpoint")`` -> ``"contracts__checkpoint"``."""
    return f"{variant}{SEPARATOR}{asset}"


def variant_of(asset: str) -> str | None:
    """The variant that an asset belongs to; None for the main graph."""
    return asset.rpartition(SEPARATOR)[0] or None


def plain_name(asset: str) -> str:
    """The name that an asset has, or would have, in the main graph."""
    return asset.rpartition(SEPARATOR)[2]
