"""What a GraphQL request would do."""

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


VALUES = (
    st.none() | st.booleans() | st.integers() | st.text() | st.lists(st.text()) | st.dictionaries(st.text(), st.text())
)
OBJECTS = st.dictionaries(st.sampled_from(["query", "variables", "operationName"]), VALUES)


@given(st.binary() | (VALUES | OBJECTS).map(lambda value: json.dumps(value).encode()))
def test_a_body_is_refused_unless_it_is_one_object_with_a_text_under_query(body):
    """Whatever the bytes: no other error than the refusal."""
    try:
        sent = json.loads(body)
    except ValueError:
        sent = None
    if isinstance(sent, dict) and isinstance(sent.get("query"), str):
        assert request_of(body) == sent
    else:
        with pytest.raises(BadRequestError):
            request_of(body)


@given(st.text() | st.lists(st.sampled_from(["mutation", "query", "{", "}", "a", "#", '"', "\n", "..."])).map(" ".join))
def test_of_any_document_it_is_said_whether_it_changes_something_or_that_it_cannot_be_parsed(document):
    """Whatever the text: no other error than the refusal."""
    try:
        changes = changes_something(document)
    except BadRequestError:
        changes = False
    assert not changes or "mutation" in document
