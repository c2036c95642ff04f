"""What the web UI shows of a generation by a language model: money, tokens, and what was lost."""

from collections import Counter
from collections.abc import Mapping

import polars as pl

SHOWN = 30
NAMES = ("requests", "prompt_tokens", "completion_tokens", "usd", "estimated", "seconds")


def ledger_frame(by_model: Mapping[str, Mapping[str, float]]) -> pl.DataFrame:
    """One row a model: requests, tokens, USD, answers whose tokens had to be estimated, seconds of waiting."""
    rows = [{"model": model, **{name: sums.get(name, 0.0) for name in NAMES}} for model, sums in by_model.items()]
    return pl.DataFrame(rows, schema={"model": pl.String, **dict.fromkeys(NAMES, pl.Float64)}).sort("model")


def cost_table(by_model: Mapping[str, Mapping[str, float]]) -> str:
    """The ledger as Markdown; the last row is the sum."""
    frame = ledger_frame(by_model)
    total = {"model": "all", **{name: float(frame[name].sum()) for name in NAMES}}
    lines = [
        "| model | answers | prompt tokens | completion tokens | USD | tokens estimated | seconds an answer |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for row in [*frame.iter_rows(named=True), total]:
        pace = row["seconds"] / row["requests"] if row["requests"] else 0.0
        lines.append(
            f"| {_cell(row['model'])} | {row['requests']:,.0f} | {row['prompt_tokens']:,.0f} | "
            f"{row['completion_tokens']:,.0f} | {row['usd']:.4f} | {row['estimated']:,.0f} | {pace:.2f} |"
        )
    return "\n".join(lines)


def set_aside_table(set_aside: pl.DataFrame) -> str:
    """What was lost, by step and cause, with an example of each."""
    if set_aside.is_empty():
        return "Nothing was set aside."
    counts: Counter[tuple[str, str]] = Counter()
    example: dict[tuple[str, str], str] = {}
    for step, record, reason in set_aside.select("step", "record", "reason").iter_rows():
        kind = (step, _cause(reason))
        counts[kind] += 1
        example.setdefault(kind, f"{record}: {reason}")
    lines = ["| step | cause | lost | for example |", "| --- | --- | ---: | --- |"]
    for kind, count in counts.most_common(SHOWN):
        lines.append(f"| {kind[0]} | {_cell(kind[1])} | {count} | {_cell(example[kind][:200])} |")
    if len(counts) > SHOWN:
        lines.append(f"| | and {len(counts) - SHOWN} more causes | | see set_aside.parquet |")
    return "\n".join(lines)


def _cause(reason: str) -> str:
    """The reason without what differs from record to record."""
    text = reason.partition(" (question:")[0].partition(":")[0]
    return " ".join(word for word in text.split() if not any(character.isdigit() for character in word))[:100]


def _cell(text: str) -> str:
    """Text of strangers inside a Markdown table."""
    escaped = "".join(f"\\{character}" if character in "\\`*_{}[]<>()#|!~" else character for character in text)
    return " ".join(escaped.split())
