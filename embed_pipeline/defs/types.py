"""dagster-pandas types on the two tables people read most."""

from collections.abc import Callable

import dagster as dg

from embed_pipeline.stages.run import StageResult
from embed_pipeline.store.names import plain_name


def table_type(asset: str) -> dg.DagsterType | None:
    """The type that guards an asset's table, or None."""
    build = {"qa_pairs": _qa_pairs, "metrics": _metrics}.get(plain_name(asset))
    if build is None:
        return None
    guarded = _lazily(build)

    def check(context: dg.TypeCheckContext, value: object) -> dg.TypeCheck | bool:
        if not isinstance(value, StageResult):
            return False
        return guarded().type_check(context, value.artifact.frame().to_pandas())

    return dg.DagsterType(
        type_check_fn=check,
        name=f"{asset}_table",
        description=f"Handle on {asset}; its rows satisfy the constraints declared with dagster-pandas.",
    )


def _lazily(build: Callable[[], dg.DagsterType]) -> Callable[[], dg.DagsterType]:
    built: list[dg.DagsterType] = []

    def get() -> dg.DagsterType:
        if not built:
            built.append(build())
        return built[0]

    return get


def _qa_pairs() -> dg.DagsterType:
    from dagster_pandas import PandasColumn, create_dagster_pandas_dataframe_type

    return create_dagster_pandas_dataframe_type(
        name="QaPairsFrame",
        columns=[
            PandasColumn.string_column("question_id", unique=True, non_nullable=True),
            PandasColumn.string_column("question", non_nullable=True),
            PandasColumn.integer_column("complexity", min_value=1, max_value=5),
            PandasColumn.integer_column("hop_count", min_value=1),
            PandasColumn.exists("passage_ids", non_nullable=True),
            PandasColumn.boolean_column("mask_evidence", non_nullable=True),
        ],
    )


def _metrics() -> dg.DagsterType:
    from dagster_pandas import PandasColumn, create_dagster_pandas_dataframe_type

    return create_dagster_pandas_dataframe_type(
        name="MetricsFrame",
        columns=[
            PandasColumn.string_column("metric", non_nullable=True),
            PandasColumn.float_column("base", min_value=0.0, max_value=1.0, non_nullable=True),
            PandasColumn.float_column("tuned", min_value=0.0, max_value=1.0, non_nullable=True),
            PandasColumn.float_column("delta", min_value=-1.0, max_value=1.0, non_nullable=True),
            PandasColumn.float_column("p", min_value=0.0, max_value=1.0, non_nullable=True),
        ],
    )
