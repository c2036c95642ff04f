import pytest

from embed_pipeline.corpus.parsers.blocks import UnreadableError, join_blocks
from embed_pipeline.corpus.parsers.html import fragment_text, parse_html

PAGE = """<!DOCTYPE html><html><head><title>Merrin &amp; friends</title><style>p {}</style>
<script>var x = "never";</script></head><body>
<header>Site name</header><nav><a href="/">Home</a></nav>
<div class="sidebar"><ul><li>Menu entry</li></ul></div>
<main>
<h1>Merrin<a class="headerlink" href="#m">¶</a></h1>
<p>A <b>tethered</b>
   platform.<br>Second line. <!-- comment --></p>
<h2>Limits</h2>
<table><caption>Wind</caption><tr><th>machine</th><th>wind</th></tr>
<tr><td>Merrin</td><td><p>11</p> m/s</td></tr></table>
<pre>if x:
    kneel()</pre>
<ul><li>one<ul><li>inner</li></ul></li><li>two</li></ul>
<ol><li>first</li></ol>
<dl><dt>skein</dt><dd>the tether</dd></dl>
<p hidden>never</p><p style="display: none">never</p><button>Click</button>
<section><header><h3>Inside</h3></header><p>Kept.</p></section>
</main>
<footer>Copyright</footer></body></html>"""


def text_and_sections(source: str):
    return join_blocks(parse_html(source.encode()).blocks)


def test_golden_page():
    text, sections = text_and_sections(PAGE)
    assert parse_html(PAGE.encode()).title == "Merrin & friends"
    assert [(section.heading, section.level) for section in sections] == [("Merrin", 1), ("Limits", 2), ("Inside", 3)]
    assert text == (
        "Merrin\n\nA tethered platform.\nSecond line.\n\n"
        "Limits\n\nWind\nmachine | wind\nMerrin | 11 m/s\n\n"
        "if x:\n    kneel()\n\n"
        "- one\n  - inner\n- two\n\n1. first\n\nskein\n  the tether\n\n"
        "Inside\n\nKept."
    )


def test_furniture_is_dropped_without_a_main_element_too():
    source = PAGE.replace("<main>", "<div>").replace("</main>", "</div>")
    text, _ = text_and_sections(source)
    for furniture in ("Site name", "Home", "Menu entry", "Copyright", "never", "Click", "¶"):
        assert furniture not in text
    assert "A tethered platform." in text


@pytest.mark.parametrize(
    "source",
    [
        "<body><div class='menu'><p>{}</p></div><main><p>Short.</p></main></body>",
        "<body><article>Teaser</article><div><p>{}</p></div></body>",
        "<body><header><p>{}</p></header></body>",
        "<table><tr><td><h2>Layout</h2><p>{}</p></td><td>right</td></tr></table>",
        "<p>{}",
        "{}",
    ],
)
def test_the_main_content_is_never_lost(source):
    sentence = "The skein drum turns slowly while the platform is lofted. " * 5
    text, _ = text_and_sections(source.format(sentence))
    assert sentence.strip() in text


def test_layout_tables_are_read_as_pages_and_data_tables_as_rows():
    layout, sections = text_and_sections("<table><tr><td>menu</td><td><h2>Title</h2><p>Body text</p></td></tr></table>")
    assert layout == "menu\n\nTitle\n\nBody text"
    assert [section.heading for section in sections] == ["Title"]
    nested, _ = text_and_sections(
        "<table><tr><th>a</th><th>b</th></tr><tr><td>1</td><td><table><tr><td>x</td></tr></table></td></tr></table>"
    )
    assert nested == "a | b\n1 | x"


def test_declared_encoding_is_respected():
    source = '<html><head><meta charset="windows-1251"></head><body><p>Привет, мир</p></body></html>'
    text, _ = join_blocks(parse_html(source.encode("cp1251")).blocks)
    assert text == "Привет, мир"


def test_xml_declaration_does_no_harm():
    text, _ = text_and_sections('<?xml version="1.0" encoding="ISO-8859-1"?><html><body><p>Grüße</p></body></html>')
    assert text == "Grüße"


def test_no_html_at_all():
    with pytest.raises(UnreadableError, match="no HTML"):
        parse_html(b"   ")


def test_fragments_of_markdown():
    assert fragment_text("<!-- only\n a comment -->") == ""
    assert fragment_text("<p align=center>Hello <i>you</i></p>") == "Hello you"


def test_what_stands_in_for_frames_is_read():
    source = "<frameset><frame src=a.html></frameset><noframes><h2>Ant &trade;</h2><p>See <a>toc</a>.</noframes>"
    text, sections = text_and_sections(source)
    assert text == "Ant ™\n\nSee toc."
    assert [section.heading for section in sections] == ["Ant ™"]


# what a reader of the page sees


def read(source: str) -> tuple[list[str], set[str]]:
    found = parse_html(source.encode())
    return [block.text for block in found.blocks], {loss.kind for loss in found.losses}


@pytest.mark.parametrize("state", [":checked", ":target", ":focus-within", "[open]"])
def test_tabs_that_a_style_sheet_opens_are_read(state):
    style = (
        f"<style>.tab {{display: none}} @media screen {{ #one{state} ~ .x, #two{state} ~ #second {{display: block}} }}"
    )
    hidden = '<p>First.</p><div id="second" style="display: none">Second.</div>'
    assert read(f"{style}</style>{hidden}") == (["First.", "Second."], {"code"})
    nothing_opens = style.replace(state, "").replace("block", "flex")
    assert read(f"{nothing_opens}</style>{hidden}") == (["First."], {"code", "hidden"})
    closed = style.replace("block", "none")
    assert read(f"{closed}</style>{hidden}")[0] == ["First."]


def test_a_menu_of_dishes_is_text_and_one_of_the_page_is_not():
    inn = "The inn at the river has been open since the bridge was built."
    dishes = "<h2>Soups</h2><ul><li>Leek and potato 4.50</li><li>Tomato and basil 4.80</li></ul>"
    texts, _ = read(f'<p>{inn}</p><div class="menu">{dishes}</div>')
    assert texts == [inn, "Soups", "- Leek and potato 4.50\n- Tomato and basil 4.80"]
    for entry in ('<a href="/">{}</a>', '<span onclick="go()">{}</span>', '<span role="menuitem">{}</span>'):
        entries = "".join(f"<li>{entry.format(name)}</li>" for name in ("Home of the whole site", "Contact us today"))
        assert read(f'<p>{inn}</p><div class="menu"><ul>{entries}</ul></div>') == ([inn], {"navigation"})


def test_a_page_within_the_page_is_read():
    inner = "&lt;h2&gt;Inner&lt;/h2&gt;&lt;p&gt;Text &amp;amp; more.&lt;/p&gt;"
    source = f'<p>Before.</p><iframe srcdoc="{inner}">No frames here.</iframe><iframe src="x.html">Other.</iframe>'
    assert read(source) == (["Before.", "Inner", "Text & more."], {"hidden", "picture"})
    assert read('<p>Before.</p><iframe srcdoc="&lt;!-- nothing --&gt;"></iframe>')[0] == ["Before."]
