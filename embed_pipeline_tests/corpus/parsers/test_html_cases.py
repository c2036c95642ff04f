"""Pages that are read wrongly elsewhere: small fixtures in ``cases/html``, and others of the same kind."""

from pathlib import Path

import pytest

from embed_pipeline.corpus.parsers.blocks import UnreadableError, join_blocks
from embed_pipeline.corpus.parsers.html import declared_charset, fragment_text, parse_html
from embed_pipeline.corpus.parsers.losses import Losses

CASES = Path(__file__).parents[1] / "cases" / "html"
PROSE = "The skein drum turns slowly while the platform is lofted, and nobody stands below it. " * 3


def read(source: str | bytes) -> str:
    data = source if isinstance(source, bytes) else source.encode()
    return join_blocks(parse_html(data).blocks)[0]


def case(name: str) -> str:
    return read((CASES / name).read_bytes())


def told(source: str) -> dict[str, tuple[int, int, tuple[str, ...]]]:
    losses = parse_html(source.encode()).losses
    return {loss.kind: (loss.count, loss.characters, loss.examples) for loss in losses}


def test_sections_named_as_furniture_are_content():
    assert case("ui_guide.html").split("\n\n") == [
        "Widget handbook",
        "Menu",
        "The menu widget opens with the F10 key and closes with Escape.",
        "Pagination",
        "Twenty rows are shown per page unless page_size says otherwise.",
        "Dialogs",
        "A dialog blocks the window below it until it is answered.",
    ]


@pytest.mark.parametrize(
    "source",
    [
        "<article><section id='footer' class='footer'><h2 class='toc'>Footer</h2><p>Kept {}</p></section></article>",
        "<body><h1>W</h1><p>x</p><div id='related'><h2>Footer</h2><p>Kept {}</p></div></body>",
        "<div role=main><div class='section' id='sidebar'><h2>Footer</h2><p>Kept {}</p></div></div>",
        "<article><p>x</p><div class='menu'><h2>Footer</h2><ul><li>Kept</li></ul><p>{}</p></div></article>",
    ],
)
def test_other_content_named_as_furniture(source):
    text = read(source.format(PROSE))
    assert "Footer" in text
    assert "Kept" in text


def test_menus_of_links_stay_out_and_are_told():
    menu = "<div class='toc'><ul><li><a href='#a'>Lofting</a></li><li><a href='#b'>Landing</a></li></ul></div>"
    source = (
        f"<body>Top<header>Site</header><main><nav>Home</nav>{menu}<p>{PROSE}</p></main><footer>(c)</footer></body>"
    )
    assert read(source) == PROSE.strip()
    count, characters, examples = told(source)["navigation"]
    assert (count, characters) == (5, len("TopSite(c)HomeLoftingLanding"))
    assert examples == ("Top", "Site", "(c)")


def test_what_a_reader_can_open_is_read():
    text = case("tabs.html")
    for kept in ("On Linux copy", "On Windows register", "Proxy", "Set AGENT_PROXY", "Uninstall by deleting"):
        assert kept in text


@pytest.mark.parametrize(
    "source",
    [
        "<h2><button aria-expanded=false aria-controls=a1>Why?</button></h2><div id=a1 hidden>Opened.</div>",
        "<div class=tabcontent style='display:none'>Opened.</div>",
        "<section hidden=until-found>Opened.</section>",
        "<a href='#more1'>more</a><div><p id=more1 style='display: none'>Opened.</p></div>",
        "<span onclick=\"toggle('x9')\">show</span><p>between</p><p id=x9 style='DISPLAY : none'>Opened.</p>",
        "<script>$('.solved').toggle()</script><p class=solved hidden>Opened.</p>",
        "<pre class=lang>shown</pre><pre class=lang hidden>Opened.</pre>",
        "<template shadowrootmode=open><p>Opened.</p></template>",
    ],
)
def test_other_parts_that_can_be_opened(source):
    assert "Opened." in read(f"<main><p>{PROSE}</p>{source}</main>")
    assert "Why?" in read(f"<main><p>{PROSE}</p>{source}</main>") or "Why?" not in source


def test_what_nobody_can_open_is_told():
    source = (
        f"<main><p>{PROSE}</p><p hidden>never one</p><div style='display:none'>Loading</div><!-- secret -->"
        "<div class='modal collapse' hidden>Sign in</div><script>let x</script><style>p {}</style>"
        "<button>Copy</button><select><option>a<option>b</select><input value=q></main>"
    )
    assert read(source) == PROSE.strip()
    losses = told(source)
    assert losses["hidden"] == (3, len("neveroneLoadingSignin"), ("never one", "Loading", "Sign in"))
    assert losses["code"] == (2, len("letxp{}"), ("let x", "p {}"))
    assert losses["comment"] == (1, 6, ("secret",))
    assert losses["control"] == (3, 7, ("Copy", "a b", "q"))


def test_a_deep_thread_is_read_whole():
    text = case("mail_thread.html")
    assert [line for line in text.split("\n\n") if line.startswith("Reply")] == [
        f"Reply {n}: I think valve {n} is the culprit." for n in range(1, 141)
    ]
    assert text.endswith("Moderator: thread closed, the culprit was the gasket.")


@pytest.mark.parametrize(("opening", "levels"), [("<div>", 1900), ("<ul><li>x", 600), ("<table><tr><td>x", 500)])
def test_deeper_pages(opening, levels):
    assert read("<body>" + opening * levels + "The conclusion.").endswith("The conclusion.")


@pytest.mark.parametrize("opening", ["<div>", "<font>", "<ul><li>"])
def test_pages_that_are_too_deep_are_refused(opening):
    with pytest.raises(UnreadableError, match="more than 2,048 levels"):
        parse_html(("<body>" + opening * 5000 + "The conclusion.").encode())


@pytest.mark.parametrize(
    "large",
    [
        "<img src='data:image/png;base64,{}'>",
        "<p>{}</p>",
        "<script>{}</script>",
        "<!-- {} -->",
    ],
)
def test_nothing_behind_eleven_megabytes_is_lost(large):
    text = read(f"<p>Introduction.</p>{large.format('QUJD' * 2_750_000)}<p>The conclusion.</p>")
    assert text.startswith("Introduction.")
    assert text.endswith("The conclusion.")


def test_a_formula_stands_once():
    assert case("katex.html") == "Energy\n\nThe rest energy is E = mc^2 for a body at rest."


@pytest.mark.parametrize(
    ("formula", "text"),
    [
        (
            "<span class=MathJax_Preview>E=mc2</span><span class=MathJax><nobr aria-hidden=true>E=mc2</nobr>"
            "<span class=MJX_Assistive_MathML><math><mi>E</mi></math></span></span>"
            "<script type='math/tex'>E=mc^2</script>",
            "E=mc^2",
        ),
        (
            "<mjx-container><mjx-math aria-hidden=true>E=mc2</mjx-math><mjx-assistive-mml><math><mi>E</mi><mo>=</mo>"
            "<mi>m</mi><msup><mi>c</mi><mn>2</mn></msup></math></mjx-assistive-mml></mjx-container>",
            "E=mc^2",
        ),
        (
            "<span><span style='display: none' class=mwe-math-mathml-a11y><math alttext='{\\displaystyle E=mc^{2}}'>"
            "<mi>E</mi></math></span><img class=mwe-math-fallback-image alt='{\\displaystyle E=mc^{2}}'></span>",
            "E=mc^{2}",
        ),
        ("<math><mfrac><mrow><mi>a</mi><mo>+</mo><mi>b</mi></mrow><mn>2</mn></mfrac></math>", "(a+b)/2"),
        ("<img class=math src=f.png alt='E = mc^2'>", "E = mc^2"),
    ],
)
def test_other_notations_of_a_formula(formula, text):
    assert read(f"<p>Let {formula} hold.</p>") == f"Let {text} hold."


def test_cells_stay_under_their_heading():
    assert case("spans.html") == (
        "Tariff\n\nZone | Weight | Price\nNorth | 1 kg | 4 EUR\nNorth | 5 kg | 9 EUR\nSouth | 1 kg | 6 EUR\n"
        "South | 5 kg | 12 EUR\n\nZone | Standard | Standard | Express\nEast | 3 EUR | 2 days | 11 EUR"
    )


def test_other_spans():
    assert read(
        "<table><thead><tr><th rowspan=2>Item<th colspan=2>Size<tr><th>S<th>L</thead>"
        "<tr><td>Cup<td>1<td>2<tr><td colspan=3>Prices plus tax<tr><td rowspan=0>Pot<td>3<td>4<tr><td>5<td>6</table>"
    ) == ("Item | Size | Size\nItem | S | L\nCup | 1 | 2\nPrices plus tax\nPot | 3 | 4\nPot | 5 | 6")
    held = "<table><tr><td rowspan=9 colspan=9999>a<td>b<tr><td>c</table>"
    assert [line.rsplit(" | ", 1)[-1] for line in read(held).split("\n")] == ["b", "c"]


def test_powers_and_note_marks():
    assert case("sup.html") == (
        "Lab values\n\nInoculate 10^6 cells per millilitre, dilute to 10^-3, area 25 m^2, H2O, x1+x2. "
        "The limit was raised in 2019 [3]."
    )


def test_other_note_marks():
    source = (
        "<p>Raised in 1987<sup><a href='#n1'>12</a></sup>, again in 1991<a class=footnote-ref href='#n2'>2</a> and "
        "in May.<sup>3</sup></p><ol><li id=n1>First note. <a href='#r' role=doc-backlink>↩</a></li></ol>"
    )
    assert read(source) == "Raised in 1987, again in 1991 and in May. [3]\n\n1. First note."
    assert told(source)["note mark"] == (3, 4, ("12", "2", "↩"))


def test_wrapped_lines_of_scripts_without_spaces():
    assert case("cjk_wrap.html") == "安装说明\n\n请先关闭主电源，然后打开控制柜的门，检查所有接线端子是否牢固。"
    assert read("<p>これは\r\n   <b>長い</b>\n文です。 See\nthis 文</p>") == "これは長い文です。 See this 文"
    assert read("<ul><li>한국어\n문장<li>กรุง\nเทพ</ul>") == "- 한국어 문장\n- กรุงเทพ"


def test_code_keeps_its_lines():
    assert read("<pre><div>a</div><div>  b</div></pre>") == "a\n  b"
    listing = (
        "<table class=highlighttable><tr><td class=linenos><pre>1\n2</pre></td><td><pre>x\n  y</pre></td></tr></table>"
    )
    assert read(listing) == "x\n  y"
    assert told(listing) == {"furniture": (1, 2, ("1 2",))}
    assert read("<pre>k<br>  l<!-- c --><sup>2</sup></pre><xmp><b>m</b></xmp>") == "k\n  l2\n\n<b>m</b>"


def test_lists_as_browsers_show_them():
    assert read("<ul>stray<li>a<ul><li>b</ul><ul><li>c</ul></ul>") == "- stray\n- a\n  - b\n  - c"
    assert read("<ul><li>a</li><ul><li>b</li></ul></ul><ol start=3><li>x<li value=7>y<li>z</ol>") == (
        "- a\n  - b\n\n3. x\n7. y\n8. z"
    )
    assert read("<dl><div><dt>a</dt><dd>b<ul><li>q</ul></dd></div></dl>") == "a\n  b\n  - q"


def test_pictures_by_their_alternative_text():
    source = (
        "<p>See <img src=a.png alt='the pump in section'><img alt='x.png'></p><svg><text>label</text></svg>"
        "<figure><img alt='The drum'><figcaption>The drum, open</figcaption></figure>"
    )
    assert read(source) == "See the pump in section\n\nThe drum, open"
    assert told(source) == {"picture": (4, 5, ("label",))}
    diagram = "<p>a<svg><title>Drum</title><desc>How it turns</desc><g><text>axle</text></g></svg> b</p>"
    assert read(diagram) == "a\nDrum How it turns\nb"
    assert told(diagram) == {"picture": (1, 4, ("axle",))}


def test_readings_stand_in_brackets():
    assert read("<p><ruby>漢<rp>(</rp><rt>かん</rt><rp>)</rp></ruby>字</p>") == "漢(かん)字"


@pytest.mark.parametrize(
    ("start", "charset"),
    [
        (b"<meta charset=iso-8859-1>", "iso-8859-1"),
        (b"<!-- <meta charset=utf-16> --><META http-equiv=x content='text/html; charset=Shift_JIS'>", "Shift_JIS"),
        (b'<?xml version="1.0" encoding="iso-8859-15"?><html>', "iso-8859-15"),
        (b"<p>charset=utf-8</p>", None),
    ],
)
def test_declared_encodings(start, charset):
    assert declared_charset(start) == charset


def test_declarations_are_read_as_browsers_read_them():
    assert case("latin1_declared_cp1252.html").split("\n\n")[1] == (
        "Don’t run the pump dry. Allowed range: 10–20 bar. The spare seal costs €45 and the kit “B” fits series 7–9. "
        "Wait 5… then restart. Café naïve."
    )
    assert case("iso2022jp.html").split("\n\n") == [
        "ポンプの説明",
        "ポンプは最高圧力十バールです。空運転しないでください。",
    ]
    ascii_declared = "<meta http-equiv=x content='text/html; charset=us-ascii'><p>„Öl“ – 5 €</p>"
    assert read(ascii_declared.encode("cp1252")) == "„Öl“ – 5 €"


def test_bytes_that_are_no_characters_are_told():
    data = f"<meta charset=utf-8><p>{'Grüße aus Köln. ' * 20}".encode() + b"\xff</p>"
    losses = parse_html(data).losses
    assert [(loss.kind, loss.count) for loss in losses] == [("undecodable", 1)]


def test_fragments_tell_what_they_leave_out():
    losses = Losses()
    assert fragment_text("a<!-- hidden --><script>x</script><b>b</b>", losses) == "ab"
    assert [(loss.kind, loss.examples) for loss in losses.told()] == [("comment", ("hidden",)), ("code", ("x",))]


def test_the_title_of_a_drawing_is_not_the_title_of_the_page():
    icon = "<svg><title>Menu icon</title></svg>"

    assert parse_html(f"<body>{icon}<p>{PROSE}</p></body>".encode()).title == ""
    assert parse_html(f"<body>{icon}<title>Lofts</title><p>{PROSE}</p></body>".encode()).title == "Lofts"
