"""Every asset, from the declared stages, and the checks."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tools.docs.markdown import Row, one_line, plain, table

ASSETS = """# Every asset

Each asset is an immutable artifact with a key; see [the cache](../architecture.md#artifacts-and-the-cache). *Settings*
are those that enter the key beside the versions of the inputs; *outside* is what enters by its content (the corpus
folder, the base model, prompts). An asset *after* another waits for it without using what it holds.
"""


def assets_page() -> str:
    """Every asset: what it is made of, what it holds, what checks it."""
    from embed_pipeline.settings import Settings
    from embed_pipeline.stages.graph import STAGES, stages

    more = stages(Settings().model_copy(update=_growing(Settings())))
    parts = [ASSETS]
    for group in dict.fromkeys(one.group for one in STAGES.values()):
        parts.append(f"\n## {group}\n")
        parts += [_asset(one) for one in STAGES.values() if one.group == group]
    parts.append("""
## Assets that settings add

`prep.mining_rounds`, `eval.candidates`, `finetune.reranker`, `sweep.enabled` and `variants` make the graph longer. With
two rounds, a candidate, a [reranker](../reranker.md), the sweep's defaults and a [variant](../variants.md) `thorough`
that trains for more epochs there are also:
""")
    rows = [(f"`{one.name}`", one.group, ", ".join(one.inputs)) for one in more.values() if one.name not in STAGES]
    parts.append(table(("Asset", "Group", "Inputs"), rows))
    parts.append(
        "\n## Outside\n\nWhat an asset looks at outside of the pipeline stands in the web UI as an asset too.\n"
    )
    parts.append(table(("Asset", "What it is"), [(f"`{key}`", about) for key, about in _outside()]))
    parts.append("\n## Blocking checks\n\nA check that fails stops what follows.\n")
    parts.append(table(("Check", "Asset", "Holds when"), _checks()))
    return "\n".join(parts)


def _growing(settings: Any) -> dict[str, Any]:
    """Settings under which the graph has every asset that settings can add."""
    return {
        "prep": settings.prep.model_copy(update={"mining_rounds": 2}),
        "finetune": settings.finetune.model_copy(update={"hard_negatives": 4, "reranker": True}),
        "eval": settings.eval.model_copy(update={"candidates": ("intfloat/multilingual-e5-small",)}),
        "sweep": settings.sweep.model_copy(update={"enabled": True}),
        "variants": {"thorough": {"finetune": {"epochs": 5}}},
    }


def _asset(stage: Any) -> str:
    def names(values: Iterable[str]) -> str:
        return ", ".join(f"`{value}`" for value in values)

    schema = stage.schema
    outside = "" if stage.external.__name__ == "no_external" else one_line(stage.external.__doc__)
    facts = {
        "Inputs": names(stage.inputs),
        "After": names(stage.after),
        "Settings": names(stage.settings),
        "Outside": outside,
        "Stored as": stage.storage if schema is None else f"[{schema.__name__}](tables.md#{schema.__name__.lower()})",
        "Stage version": stage.version,
        "Device": "GPU where there is one" if stage.device == "gpu" else "CPU",
    }
    listed = "\n".join(f"- {name}: {value}" for name, value in facts.items() if value)
    return f"\n### {stage.name}\n\n{plain(stage.description)}\n\n{listed}\n"


def _outside() -> list[tuple[str, str]]:
    """Every external asset that settings can add, and what it is."""
    from embed_pipeline.defs.outside import KINDS, PROCESSES

    return [*((kind.key, kind.about) for kind in KINDS.values()), *PROCESSES.values()]


def _checks() -> list[Row]:
    from embed_pipeline.defs.checks import build_checks
    from embed_pipeline.settings import Settings

    specs = [spec for check in build_checks(Settings(), Path(".embed_pipeline")) for spec in check.check_specs]
    rows = [(f"`{one.name}`", f"`{one.asset_key.to_user_string()}`", one_line(one.description)) for one in specs]
    return sorted(rows, key=lambda row: row[1])
