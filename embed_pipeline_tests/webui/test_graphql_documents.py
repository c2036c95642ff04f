"""What a GraphQL request would do."""

import contextlib
import json

import pytest
from graphql import OperationType
from hypothesis import given
from hypothesis import strategies as st

from embed_pipeline.webui.graphql_documents import BadRequestError, changes_something, operations, request_of


@pytest.mark.parametrize(
    "document",
    [
        "mutation { a }",
        "mutation Named($x: Int) { a(x: $x) }",
        "query Q { a } mutation M { b }",
        "# query\n, mutation,,{a}",
        "\ufeffmutation { a }",
        "fragment F on Mutation { a } mutation M { ...F }",
        "subscription S { a } query Q { b } mutation M { c }",
    ],
)
def test_a_mutation_is_seen_wherever_it_stands(document):
    assert changes_something(document)


@pytest.mark.parametrize(
    "document",
    ["{ a }", "query mutation { mutation }", '{ a(x: "mutation { b }") }', "# mutation { b }\n{ a }",
     "subscription { a }", "fragment mutation on Query { a } { ...mutation }"],
)  # fmt: skip
def test_the_word_alone_is_none(document):
    assert not changes_something(document)


def test_kinds():
    assert operations("query A { a } subscription B { b }") == {OperationType.QUERY, OperationType.SUBSCRIPTION}


@pytest.mark.parametrize(
    "document", ["", "{", "mutation", "{ a }}", "{a" * 3000 + "}" * 3000, "{" + "a " * 30_000 + "}"]
)
def test_what_cannot_be_parsed_is_refused(document):
    with pytest.raises(BadRequestError):
        operations(document)


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b'[{"query": "mutation {a}"}]', b'"{a}"', b"{}", b'{"query": ["{a}"]}', b"\xff", b"[" * 100_000],
)
def test_no_request(body):
    with pytest.raises(BadRequestError):
        request_of(body)


def test_of_a_key_that_stands_twice_the_last_counts_as_for_the_server():
    body = b'{"query": "{ a }", "query": "mutation { b }"}'
    assert request_of(body)["query"] == json.loads(body)["query"] == "mutation { b }"


@given(st.binary())
def test_any_bytes_have_an_answer(body):
    with contextlib.suppress(BadRequestError):
        request_of(body)
