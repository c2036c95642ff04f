"""Documents that are read, but never shown to a language model (``sdg.llm.exclude``)."""

from collections.abc import Iterable

from embed_pipeline.settings import LLMSettings
from embed_pipeline.text.path_patterns import PathPatterns


def withheld_documents(doc_ids: Iterable[str], settings: LLMSettings) -> frozenset[str]:
    """Those of the documents that the patterns name; an id that is no path is matched as if it were one."""
    if not settings.exclude:
        return frozenset()
    patterns = PathPatterns(settings.exclude)
    return frozenset(doc_id for doc_id in doc_ids if patterns.match(doc_id))


def unused_patterns(doc_ids: Iterable[str], settings: LLMSettings) -> list[str]:
    """Patterns that name no document, as after a slip of the pen."""
    names = list(doc_ids)
    given = [line for line in settings.exclude if not line.startswith("!")]
    return [line for line in given if not any(map(PathPatterns([line]).match, names))]
