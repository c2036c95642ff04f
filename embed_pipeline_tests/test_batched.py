"""Parts of anything that can be walked."""

from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from embed_pipeline.batched import batched


@given(st.lists(st.integers(), max_size=40), st.integers(1, 12))
def test_parts_joined_are_the_items_and_only_the_last_is_shorter(items, size):
    parts = list(batched(items, size))
    assert [one for part in parts for one in part] == items
    assert all(len(part) == size for part in parts[:-1])
    assert all(0 < len(part) <= size for part in parts)


def test_a_stream_is_read_part_by_part():
    stream = count()
    assert next(batched(stream, 3)) == [0, 1, 2]
    assert next(stream) == 3


def test_parts_of_nothing_are_refused():
    with pytest.raises(ValueError, match="1 or more, not 0"):
        list(batched([1], 0))
