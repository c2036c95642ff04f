"""What a GraphQL request would do, read from its document before the server sees it."""

import json
from typing import Any

from graphql import GraphQLError, OperationDefinitionNode, OperationType, parse

MOST_TOKENS = 20_000
"""Of a document; the largest query of the web UI has some 2,000."""


class BadRequestError(ValueError):
    """The body is no GraphQL request."""


def request_of(body: bytes) -> dict[str, Any]:
    """The GraphQL request in the body of a POST: one JSON object, as the server reads it.

    Raises:
        BadRequestError: it is something else, a batch for example.
    """
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        raise BadRequestError("the body is not JSON") from None
    if not isinstance(value, dict) or not isinstance(value.get("query"), str):
        raise BadRequestError("the body must be one JSON object with a text under query")
    return value


def operations(document: str) -> set[OperationType]:
    """The kinds of operation in a document, whichever of them is asked for.

    Raises:
        BadRequestError: it cannot be parsed.
    """
    try:
        parsed = parse(document, max_tokens=MOST_TOKENS)
    except (GraphQLError, RecursionError) as error:
        reason = error.message if isinstance(error, GraphQLError) else "nested too deeply"
        raise BadRequestError(f"the query cannot be parsed: {reason}") from None
    return {node.operation for node in parsed.definitions if isinstance(node, OperationDefinitionNode)}


def changes_something(document: str) -> bool:
    """Whether any operation of a document is a mutation.

    Raises:
        BadRequestError: it cannot be parsed.
    """
    return OperationType.MUTATION in operations(document)
