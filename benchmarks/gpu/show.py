"""The results as Markdown tables."""

from collections.abc import Mapping
from typing import Any

HIDDEN = ("traceback", "output", "losses", "grad_norms", "as_expected", "nvidia-smi")
"""Facts that stand in results.json alone."""


def markdown(report: Mapping[str, Any]) -> str:
    """One table a section: what was measured, whether it is as expected, the figures."""
    environment = report["sections"].get("environment", {}).get("results", {})
    card, versions = environment.get("card") or {}, environment.get("versions") or {}
    lines = [
        "# GPU benchmark" + (" (--quick: tiny shapes, no figures to quote)" if report["quick"] else ""),
        "",
        f"{report['date']}, {card.get('name', 'unknown card')}, driver {card.get('driver', 'none')}, "
        f"torch {versions.get('torch')}, CUDA {versions.get('cuda')}, transformers {versions.get('transformers')}, "
        f"sentence-transformers {versions.get('sentence-transformers')}, Python {versions.get('python')}; "
        f"{report['seconds']} s in all.",
        "",
        f"Failed or not as expected: {', '.join(report['failures']) or 'nothing'}.",
    ]
    for name, section in report["sections"].items():
        lines += ["", f"## {name}", "", f"{section['ended']}, {section['seconds']} s", ""]
        if section["results"]:
            lines += ["| what | as expected | figures |", "| --- | --- | --- |"]
            lines += [_row(key, value, environment) for key, value in section["results"].items()]
    lines += ["", "## Not run", "", *(f"- {name}: {reason}" for name, reason in report["not_run"].items())]
    return "\n".join(lines) + "\n"


def _row(name: str, value: Any, environment: Mapping[str, Any]) -> str:
    if not isinstance(value, Mapping):
        return f"| {name} | | {_cell(value)} |"
    verdict = {True: "yes", False: "**no**"}.get(value.get("as_expected"), "")
    facts = [f"{key} {_cell(fact)}" for key, fact in value.items() if key not in HIDDEN and fact is not None]
    facts += [
        share for key, fact in value.items() if "tflops" in key and (share := _share(name, key, fact, environment))
    ]
    return f"| {name} | {'**failed**' if 'failed' in value else verdict} | {', '.join(facts)} |"


def _share(name: str, key: str, rate: Any, environment: Mapping[str, Any]) -> str:
    """What a rate is of the card's own, in the precision that the name of the result says."""
    precision = next((one for one in ("tf32", "bf16", "fp16", "fp32") if one in name), None)
    precision = precision or ("fp32" if name == "exact_search" else "bf16")
    whole = environment.get(f"matrix_tflops_{precision}")
    if not isinstance(whole, float) or not isinstance(rate, float) or not whole or name.startswith("matrix"):
        return ""
    return f"{key.replace('tflops', 'share').strip('_')} {100 * rate / whole:.1f} % of {precision}'s {whole:g}"


def _cell(value: Any) -> str:
    if isinstance(value, Mapping):
        return "; ".join(f"{key}: {_cell(fact)}" for key, fact in value.items())
    if isinstance(value, list):
        return " ".join(map(_cell, value))
    return " ".join(str(value).split()).replace("|", "\\|")[:200]
