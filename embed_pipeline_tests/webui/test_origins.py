"""Host and Origin: what is ours, and everything else that is not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.datastructures import Headers

from embed_pipeline.webui.origins import ServedNames, is_own_page, is_visit

OURS = "127.0.0.1:3000"


@pytest.mark.parametrize("host", [OURS, "localhost:3000", "LOCALHOST:3000", "[::1]:3000", "localhost.:3000"])
def test_names_of_this_machine_are_served(host):
    assert ServedNames("127.0.0.1", 3000).serves(host)


@pytest.mark.parametrize(
    "host",
    ["", "evil.example", "evil.example:3000", "127.0.0.1", "127.0.0.1:3001", "127.0.0.1.evil.example:3000",
     "evil.example@127.0.0.1:3000", "127.0.0.1:3000@evil.example", "127.0.0.1:3000/evil", "127.0.0.1:3000#",
     "127.0.0.1:99999", "127.0.0.1:x", "localhost:3000,evil.example", "[::1", "192.168.0.7:3000"],
)  # fmt: skip
def test_other_names_are_not(host):
    assert not ServedNames("127.0.0.1", 3000).serves(host)


@given(st.text(st.characters(max_codepoint=255)))
def test_any_text_has_an_answer(text):
    ServedNames("127.0.0.1", 3000, ["embed.example"]).serves(text)
    assert not is_own_page(Headers({"host": OURS, "origin": f"http://{OURS}.{text}"}))


def test_names_given_are_served_with_their_port_or_with_any():
    served = ServedNames("127.0.0.1", 3000, ["Embed.example.org", "other.example:8443"])
    assert served.serves("embed.example.org")
    assert served.serves("embed.example.org:8443")
    assert served.serves("other.example:8443")
    assert not served.serves("other.example")
    assert not served.serves("sub.embed.example.org")


def test_a_name_with_the_usual_port_is_served_without_it():
    assert ServedNames("127.0.0.1", 3000, ["embed.example.org:443"]).serves("embed.example.org")


def test_on_every_address_each_address_is_served_but_no_name():
    served = ServedNames("0.0.0.0", 3000)
    assert served.serves("192.168.0.7:3000")
    assert served.serves("[fe80::1]:3000")
    assert not served.serves("192.168.0.7:3001")
    assert not served.serves("box.example:3000")
    assert ServedNames("192.168.0.7", 3000).serves("192.168.0.7:3000")


@pytest.mark.parametrize(
    ("headers", "own"),
    [
        ({}, True),
        ({"origin": f"http://{OURS}"}, True),
        ({"origin": f"http://{OURS}", "sec-fetch-site": "same-origin"}, True),
        ({"sec-fetch-site": "none"}, True),
        ({"origin": "null"}, False),
        ({"origin": ""}, False),
        ({"origin": "http://evil.example"}, False),
        ({"origin": "http://127.0.0.1:3001"}, False),
        ({"origin": "http://127.0.0.1"}, False),
        ({"origin": "http://localhost:3000"}, False),
        ({"origin": f"ftp://{OURS}"}, False),
        ({"origin": f"http://{OURS}/"}, False),
        ({"origin": f"http://evil@{OURS}"}, False),
        ({"sec-fetch-site": "cross-site"}, False),
        ({"sec-fetch-site": "same-site"}, False),
        ({"origin": f"http://{OURS}", "sec-fetch-site": "cross-site"}, False),
    ],
)
def test_whose_page_asks(headers, own):
    assert is_own_page(Headers({"host": OURS, **headers})) is own


def test_behind_a_proxy_with_tls_the_origin_is_https():
    assert is_own_page(Headers({"host": "embed.example.org", "origin": "https://embed.example.org"}))
    assert is_own_page(Headers({"host": "embed.example.org", "origin": "https://embed.example.org:443"}))


def test_two_origins_are_none():
    raw = [(b"host", OURS.encode()), (b"origin", f"http://{OURS}".encode()), (b"origin", f"http://{OURS}".encode())]
    assert not is_own_page(Headers(raw=raw))


def test_a_link_is_a_visit_and_a_frame_is_none():
    assert is_visit(Headers({"sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}))
    assert not is_visit(Headers({"sec-fetch-mode": "navigate", "sec-fetch-dest": "iframe"}))
    assert not is_visit(Headers({"sec-fetch-mode": "no-cors", "sec-fetch-dest": "image"}))
