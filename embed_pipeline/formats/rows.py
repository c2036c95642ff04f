"""Rows of the files that other tools write: JSON Lines, JSON, Parquet."""

import json
from typing import Any

from embed_pipeline.errors import InputError


def parse_json(data: bytes, where: str) -> Any:
    """A JSON value; what is not UTF-8, no JSON or holds half of a surrogate pair is an InputError."""
    try:
        text = data.decode("utf-8-sig")
        value = json.loads(text)
        if "\\ud" in text.lower():
            json.dumps(value, ensure_ascii=False).encode("utf-8")  # refuses halves of surrogate pairs
    except UnicodeDecodeError as error:
        raise InputError(f"{where}: not UTF-8 ({error.reason} at byte {error.start}); save it as UTF-8.") from error
    except UnicodeEncodeError as error:
        raise InputError(f"{where}: holds half of a surrogate pair (\\ud800 to \\udfff); correct the text.") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{where}: not valid JSON ({error}).") from error
    return value
