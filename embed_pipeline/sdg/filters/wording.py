"""How a question is worded: does it point at its text, does it copy it, is it the same as another."""

import re
import unicodedata
from collections.abc import Sequence
from difflib import SequenceMatcher

_TEXT = r"(?:passages?|texts?|documents?|articles?|excerpts?|extracts?|paragraphs?|segments?|snippets?|context)"
_GIVEN = r"(?:given|provided|above|following|preceding|presented|quoted|present|supplied)"
_TOLD = r"(?:says?|states?|stated|mentions?|mentioned|describes?|described|discuss(?:es|ed)?|explains?|explained)"
_SHOWN = r"(?:table|figure|diagram|image|chart|equation|example|code|list)"
_ENGLISH = (
    rf"\b(?:according to|based on|as per|per) (?:the|this|these) (?:{_GIVEN} )?(?:{_TEXT}|section|authors?)\b",
    rf"\b(?:in|from|by|of|on) (?:this|the {_GIVEN}) (?:{_TEXT}|section)\b",
    r"\b(?:in|from) the (?:passages?|excerpt|snippet|text|paragraph|segment)\b(?! (?:field|box|area|column))",
    rf"\b(?:the|this) (?:{_TEXT}|authors?) (?:above|below|{_TOLD})\b",
    rf"\bdo(?:es)? (?:the|this|these) (?:{_TEXT}|authors?) (?:say|state|mention|describe|discuss|explain|imply)\b",
    rf"\b(?:mentioned|described|stated|discussed|provided|given|listed|outlined) (?:in|by) (?:the|this) {_TEXT}\b",
    r"\b(?:as )?(?:mentioned|described|stated|discussed|listed|outlined|noted) (?:above|below)\b",
    r"\b(?:in|of|from|to|see) (?:passage|segment|excerpt|chunk) \d+\b",
    rf"\b(?:topic|subject|theme|summary|main point|main idea|focus) of (?:the|this) {_TEXT}\b",
    rf"\bwhat is (?:the|this) {_TEXT} about\b",
    rf"\b(?:the|this) {_SHOWN} (?:above|below)\b|\bthe (?:above|following) {_SHOWN}\b|\bthe {_GIVEN} {_TEXT}\b",
)
_GERMAN = r"(?:text(?:es|abschnitt|auszug|stelle)?|dokuments?|abschnitts?|absatz(?:es)?|auszugs?|artikels?|passage)"
_GERMAN_TOLD = r"(?:erwähnt|genannt|beschrieben|erläutert|aufgeführt|dargestellt|angegeben)\w*"
_FRENCH = r"(?:textes?|passages?|documents?|extraits?|articles?|paragraphes?)(?! \d)"
_SPANISH = r"(?:textos?|pasajes?|documentos?|fragmentos?|artículos?|párrafos?|extractos?|contexto)(?! \d)"
_ITALIAN = r"(?:testo|brano|documento|passaggio|passo|estratto|articolo|paragrafo)(?! \d)"
_PORTUGUESE = r"(?:textos?|documentos?|trechos?|excertos?|artigos?|parágrafos?|passage[mn]s?)(?! \d)"
_DUTCH = r"(?:teksten|tekst|passage|document|artikel|fragment|alinea|paragraaf)(?! \d)"
_LATIN = (
    rf"\b(?:laut|gemäß|nach) (?:dem|diesem|der|dieser|obigem) (?:\w+en )?{_GERMAN}\b(?! \d)",
    rf"\b(?:dem|diesem) {_GERMAN} (?:zufolge|nach)\b|\bin (?:diesem|dieser) {_GERMAN}\b",
    r"\bim (?:obigen |vorliegenden |gegebenen |folgenden )?(?:textabschnitt|textauszug|abschnitt oben|text)\b",
    rf"\b(?:im|in der) {_GERMAN} (?:\w+ ){{0,4}}?{_GERMAN_TOLD}",
    rf"\b(?:oben|weiter oben|nachfolgend|vorstehend) {_GERMAN_TOLD}",
    rf"\b(?:sagt|besagt|beschreibt|nennt|erwähnt|erklärt) (?:der|dieser|das|dieses) (?:{_GERMAN}|autor)\b",
    rf"\b(?:selon|d['’]après) (?:(?:le|ce|cet|cette|la|les) |l['’])(?:{_FRENCH}|auteur)",
    r"\bdans (?:le|ce|cet) (?:texte|passage|extrait|paragraphe)\b|\bdans (?:ce document|cet article)\b",
    rf"\b(?:mentionn|indiqu|cit|présent)ée?s? (?:dans|par) (?:(?:le|ce|cet) |l['’]){_FRENCH}",
    rf"\b(?:dit|décrit|mentionne|explique) (?:(?:le|ce|cet) |l['’])(?:{_FRENCH}|auteur)|\bci-(?:dessus|dessous)\b",
    rf"\b(?:según|de acuerdo con|conforme a) (?:el|este|los|estos) {_SPANISH}",
    r"\ben (?:el|este) (?:texto|pasaje|fragmento|extracto|párrafo)\b|\ben este (?:documento|artículo)\b",
    rf"\b(?:mencionad|descrit|citad|indicad)[oa]s? (?:(?:en|por) (?:el|este) {_SPANISH}|anteriormente|arriba)",
    rf"\b(?:dice|menciona|describe|explica) (?:el|este) (?:{_SPANISH}|autor)",
    rf"\b(?:secondo|stando a|in base a) (?:(?:il|questo) |(?:l|quest)['’]){_ITALIAN}|\bin base al {_ITALIAN}",
    r"\b(?:nel|in questo) (?:testo|brano|estratto)\b|\bin (?:questo documento|quest['’]articolo)\b",
    rf"\b(?:menzionat|descritt|citat|indicat)[oaie] (?:nel|in questo|dal) {_ITALIAN}",
    r"\bsopra (?:menzionat|descritt|citat|indicat)[oaie]\b",
    rf"\b(?:segundo|de acordo com|conforme|com base n?) ?(?:o|este|esse) {_PORTUGUESE}",
    r"\bn(?:o|este|esse) (?:texto|trecho|excerto)\b|\bneste (?:documento|artigo)\b",
    rf"\b(?:mencionad|descrit|citad)[oa]s? (?:(?:no|neste|pelo) {_PORTUGUESE}|acima)",
    rf"\bvolgens (?:de|deze|dit|het) (?:bovenstaande |gegeven )?{_DUTCH}|\bin (?:deze|dit|de bovenstaande) {_DUTCH}",
    r"\bin de tekst\b",
    r"\b(?:zgodnie z|według|na podstawie) (?:t(?:ym|ego) )?(?:tekst|dokument|fragment|artykuł)(?:em|u)\b",
    r"\bw (?:tym )?(?:tekście|fragmencie)\b|\bw tym (?:dokumencie|artykule)\b",
    r"\b(?:metne|belgeye|parçaya|paragrafa|makaleye|pasaja|dokümana) göre\b|\bmetinde\b",
    r"\b(?:bu|yukarıdaki|verilen) (?:metin|metn|parça|paragraf|pasaj)\w*",
    r"\btheo (?:đoạn văn|văn bản|tài liệu|bài viết|bài báo|đoạn trích)\b|\btrong (?:đoạn văn|đoạn trích|văn bản này)\b",
    r"\b(?:menurut|berdasarkan) (?:teks|dokumen|bacaan|artikel|paragraf|kutipan)\b(?! \d)",
    r"\bdalam (?:teks|bacaan|kutipan|paragraf) (?:ini|tersebut|di atas)\b",
)
_CYRILLIC = (
    r"\b(?:согласно|по) (?:этому |данному |привед[её]нному )?(?:тексту|документу|отрывку|абзацу|фрагменту)\b",
    r"\bсогласно (?:этой |данной )?статье\b(?! \d)|\b(?:исходя из|на основе|на основании) (?:этого |данного )?текста\b",
    r"\bв (?:этом |данном |привед[её]нном )?(?:тексте|отрывке|фрагменте)\b|\bв (?:этом|данном) документе\b",
    r"\bв (?:этой|данной) статье\b|\b(?:упомянут|описан|указан|перечислен)\w* (?:выше|ниже|в тексте|в документе)\b",
    r"\bвыше(?:упомянут|указанн|описанн|перечисленн)\w+|\bавтор(?:ы|а|ом)? (?:текста|отрывка|статьи)\b",
    r"\bзгідно з (?:цим )?(?:текстом|документом|уривком)\b|\b[ув] (?:цьому )?(?:тексті|уривку)\b",
)
_ARABIC = r"(?:نص|مقطع|فقرة|وثيقة|مقال|مقالة|مستند|مقتطف|سياق)"
_RIGHT_TO_LEFT = (
    rf"(?:وفقا|طبقا|تبعا) ?ل(?:لا?{_ARABIC}|ل?هذ[اه] ال{_ARABIC}|ما (?:ورد|ذكر|جاء) في)",
    rf"(?:^|\s)(?:ب?حسب|بناء على|استنادا إلى|اعتمادا على) (?:هذ[اه] )?ال{_ARABIC}",
    rf"(?:^|\s)في (?:هذ[اه] ال{_ARABIC}|ال(?:نص|مقطع|فقرة|مقتطف))(?!\w)(?! \d)",
    rf"(?:ي|ت)(?:قول|ذكر|صف|شرح|وضح|ناقش) ال(?:{_ARABIC}|كاتب|مؤلف)(?!\w)|(?:^|\s)(?:أعلاه|أدناه)(?!\w)",
    r"(?:طبق|بر ?اساس|با توجه به|مطابق) (?:این )?(?:متن|سند|مقاله)(?!\w)|(?:^|\s)در (?:این )?متن(?!\w)",
    r"(?:לפי|על פי|על סמך) (?:ה|)(?:טקסט|קטע|מסמך|מאמר|פסקה)|(?:^|\s)ב(?:טקסט|קטע) (?:זה|הזה|הנ)",
)
_HINDI = "(?:पाठ|अनुच्छेद|गद्यांश|दस्तावेज\u093c?|लेख|परिच्छेद|अंश|संदर्भ)"
_INDIC = (
    rf"{_HINDI} के (?:अनुसार|आधार पर|मुताबिक)",
    rf"(?:इस|दिए गए|उपरोक्त|उपर्युक्त|निम्नलिखित) {_HINDI}|(?:पाठ|गद्यांश) में(?: |$)|{_HINDI} में (?:उल्लिखित|वर्णित)",
    "(?:ตาม|จาก|ใน)(?:ข้อความ|เอกสาร|บทความ|ย่อหน้า|เนื้อหา)(?:นี้|ข้างต้น|ดังกล่าว|ที่ให้มา|ที่กำหนด)|ตามข้อความ",
)
_CHINESE = r"(?:文章|文本|文档|文檔|段落|短文|材料|原文|课文|課文|节选|節選|摘录|摘錄|上下文|文字)"
_CHINESE_THIS = r"(?:[这這该該此本](?:[篇段份个個])?|上述|以上|下列|给定的?|給定的?|所给的?|所給的?|提供的)"
_JAPANESE = r"(?:文章|文書|段落|テキスト|記事|文脈|抜粋|一節|資料|パッセージ)"
_KOREAN = r"(?:지문|글|본문|텍스트|문서|단락|문단|기사|구절|발췌문)"
_EAST_ASIAN = (
    rf"(?:根据|根據|依据|依據|按照|依照|基于|基於)(?:[上本文前]文|文中|{_CHINESE_THIS}?{_CHINESE}|{_CHINESE_THIS}(?:文件|内容|內容|文|段))",
    r"(?:文中|[本上前]文|文章|段落|原文|材料|作者)中?所?(?:提到|提及|提出|所述|描述|指出|介绍|介紹|讨论|討論|认为|認為)",
    rf"在?(?:[这這该該此](?:[篇段])?){_CHINESE}(?:中|里|裡)|上述",
    rf"(?:この|その|上記の|以下の|次の|与えられた|提供された|本){_JAPANESE}(?:に|で|の|は|から|中)|本文(?:に|で|の|中)",
    rf"(?:{_JAPANESE}|本文)(?:によると|によれば|に基づ|で述べ|に書か|に記載|で言及|で説明)|文中(?:で|に|の)|上記の|前述の",
    rf"(?:^|\s)(?:이|위|위의|다음|주어진|제공된|해당|본) {_KOREAN}(?:에|의|은|는|을|를|이|가|과|와)",
    rf"(?:^|\s){_KOREAN}(?:에 따르면|에 의하면|[을를] 바탕으로|에 근거|에서 (?:언급|설명|말하))",
    r"위에서 (?:언급|설명)",
)
_REFERENCES = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (*_ENGLISH, *_LATIN, *_CYRILLIC, *_RIGHT_TO_LEFT, *_INDIC, *_EAST_ASIAN)
)
# Vowel signs and the stretching line of Arabic, written or not.
_ARABIC_MARKS = re.compile("[\u0640\u064b-\u0652]")


def text_reference(question: str) -> str | None:
    """The words by which a question points at the text it was made from ("according to the passage")."""
    line = _ARABIC_MARKS.sub("", unicodedata.normalize("NFKC", " ".join(question.split())))
    reference = next((match for pattern in _REFERENCES if (match := pattern.search(line))), None)
    return reference.group().strip() if reference else None


def longest_run(asked: Sequence[str], passage: Sequence[str]) -> int:
    """Length of the longest run of ``asked`` that stands in ``passage`` unbroken and in order, in words."""
    matcher = SequenceMatcher(None, passage, asked, autojunk=False)
    return matcher.find_longest_match().size
