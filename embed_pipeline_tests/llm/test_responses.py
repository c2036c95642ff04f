"""The store of replies: both reply and booking or neither, in groups, without stalling anybody."""

import asyncio
import sqlite3
import subprocess
import sys
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from embed_pipeline.errors import DatabaseError
from embed_pipeline.llm.chat_api import Reply
from embed_pipeline.llm.responses import Entry, ResponseStore, reply_key
from embed_pipeline.store.content_cache import ContentCache

REPLY = Reply("a text", "", False, 7, None, 0.5, "m")


def entry(key, scope="s", model="m", prompt=7, completion=3, answered=True):
    return Entry(scope, key, model, prompt, completion, 0.25, False, answered)


@pytest.fixture
def store(tmp_path):
    opened = ResponseStore(tmp_path / "cache" / "responses.sqlite")
    yield opened
    opened.close()


def test_a_reply_comes_back_as_it_was_also_after_a_reopen(store):
    store.keep(REPLY, entry("k")).result(5)
    assert store.reply("k") == REPLY
    other = ResponseStore(store.path)
    assert other.reply("k") == REPLY
    assert other.reply("absent") is None
    other.close()


@given(st.builds(Reply, st.text(), st.text(), st.booleans(), st.none() | st.integers(0, 2**40), st.none()))
def test_any_text_of_a_model_can_be_stored(tmp_path_factory, reply):
    store = ResponseStore(tmp_path_factory.mktemp("store") / "r.sqlite")
    store.keep(reply, entry("k")).result(5)
    stored = store.reply("k")
    assert stored is not None
    assert stored.content == reply.content.encode("utf-8", "replace").decode()
    assert stored.prompt_tokens == reply.prompt_tokens
    store.close()


def test_spending_is_summed_by_scope_and_model(store):
    store.keep(REPLY, entry("a"))
    store.keep(REPLY, entry("b", prompt=10))
    store.keep(None, entry("c", answered=False))
    store.keep(REPLY, entry("d", model="judge"))
    store.keep(REPLY, entry("e", scope="other"))
    store.flush().result(5)
    assert store.reply("c") is None
    assert store.spending("s") == {
        "judge": {"requests": 1, "prompt_tokens": 7, "completion_tokens": 3, "estimated": 0, "seconds": 0.25},
        "m": {"requests": 2, "prompt_tokens": 24, "completion_tokens": 9, "estimated": 0, "seconds": 0.75},
    }
    assert store.spending("unknown") == {}


def test_a_second_reply_to_the_same_request_is_booked_but_not_kept(store):
    for content in ("first", "second"):
        store.keep(Reply(content, "", False, 7, 3), entry("k")).result(5)
    assert store.reply("k").content == "first"
    assert store.spending("s")["m"]["requests"] == 2


def test_a_file_of_the_older_format_is_taken_over_and_its_entries_ignored(tmp_path):
    old = ContentCache(tmp_path / "r.sqlite")
    old.put("x", b'{"questions": []}')
    old.close()
    store = ResponseStore(tmp_path / "r.sqlite")
    assert store.spending("s") == {}
    assert store.get("x") == b'{"questions": []}'
    store.put("judgement of q1", b"8")
    assert store.get("judgement of q1") == b"8"
    store.close()


def test_many_replies_share_a_transaction(store, monkeypatch):
    class Slow:
        """A connection whose commit takes as long as a slow disk's fsync."""

        commits = 0

        def __init__(self, real):
            self.real = real

        def __enter__(self):
            return self.real.__enter__()

        def __exit__(self, *error):
            time.sleep(0.05)
            Slow.commits += 1
            return self.real.__exit__(*error)

    real = store._connected()
    monkeypatch.setattr(store, "_connected", lambda: Slow(real))

    async def fill():
        turns = 0
        waiting = [asyncio.wrap_future(store.keep(REPLY, entry(f"k{number}"))) for number in range(300)]
        while not all(one.done() for one in waiting):
            await asyncio.sleep(0.001)
            turns += 1
        return turns

    began = time.monotonic()
    turns = asyncio.run(fill())
    assert time.monotonic() - began < 5  # one by one it would take 15 s
    assert Slow.commits < 30
    assert turns > 3 * Slow.commits  # the loop went on during the commits
    assert store.spending("s")["m"]["requests"] == 300


def test_what_was_queued_is_written_even_if_nobody_waits_any_more(store):
    async def leave():
        waiting = asyncio.ensure_future(asyncio.wrap_future(store.keep(REPLY, entry("k"))))
        await asyncio.sleep(0)
        waiting.cancel()

    asyncio.run(leave())
    store.flush().result(5)
    assert store.reply("k") == REPLY


def test_a_write_that_fails_is_told_to_everybody_who_waits_for_it(store):
    store.keep(REPLY, entry("before")).result(5)
    with sqlite3.connect(store.path) as other:
        other.execute("ALTER TABLE spending RENAME TO elsewhere")
    other.close()
    with pytest.raises(DatabaseError, match="spending"):
        store.keep(REPLY, entry("k")).result(5)
    assert store.reply("k") is None  # neither reply nor booking


def test_leaving_the_process_writes_what_is_queued(tmp_path):
    script = (
        "import sys\nfrom pathlib import Path\n"
        "from embed_pipeline.llm.responses import Entry, ResponseStore\nfrom embed_pipeline.llm.chat_api import Reply\n"
        "store = ResponseStore(Path(sys.argv[1]))\n"
        "reply = Reply('x', '', False, 1, 1)\n"
        "for n in range(50): store.keep(reply, Entry('s', f'k{n}', 'm', 1, 1, 0.0, False, True))\n"
    )
    subprocess.run([sys.executable, "-c", script, str(tmp_path / "r.sqlite")], check=True, timeout=60)
    store = ResponseStore(tmp_path / "r.sqlite")
    assert store.spending("s")["m"]["requests"] == 50
    store.close()


def test_the_key_tells_requests_apart():
    messages = [{"role": "user", "content": "x"}]
    first = reply_key("m", {"top_p": 1}, messages, {"type": "object"})
    others = [
        reply_key("n", {"top_p": 1}, messages, {"type": "object"}),
        reply_key("m", {"top_p": 0.9}, messages, {"type": "object"}),
        reply_key("m", {"top_p": 1}, [*messages, *messages], {"type": "object"}),
        reply_key("m", {"top_p": 1}, messages, {"type": "array"}),
        reply_key("m", {"top_p": 1}, [{"role": "user", "content": "\ud83d"}], {"type": "object"}),
    ]
    assert len({first, *others}) == 6
    assert first == reply_key("m", {"top_p": 1}, [dict(messages[0])], {"type": "object"})
