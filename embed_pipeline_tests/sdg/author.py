"""A language model of a few lines: it reads the real prompts and answers by rules, with the usual faults.

What it answers depends on the prompt alone. Some of its questions copy, point at "the passage", repeat each other
or quote what stands nowhere, and its judge dislikes some, so that every filter has something to do.
"""

import hashlib
import re
import threading
from collections import Counter

from embed_pipeline_tests.llm.chat_server import completion, status

PASSAGE = re.compile(
    r"<<< (DATA-\w+) passage (\d+)(?: of document \d+)? >>>\n(?:\[[^\n]*\]\n)?(.*?)\n<<< \1 end of passage \2 >>>",
    re.DOTALL,
)
KINDS = [
    "key_concepts",
    "relationships",
    "themes",
    "entities",
    "processes",
    "insights",
    "technical_terms",
    "contextual_factors",
]
REASONING = ("factual", "relational", "inferential", "temporal", "procedural", "causal")
CRITERIA = ("relevance", "accuracy", "context_support", "clarity")
SPACELESS = re.compile(r"[\u0e00-\u0eff\u3040-\u30ff\u3400-\u9fff]")


def number_of(*parts):
    """A number that the parts decide."""
    return int.from_bytes(hashlib.sha256("\0".join(map(str, parts)).encode()).digest()[:6], "big")


class Author:
    """Answers requests, and counts what it answered."""

    def __init__(self, faults=True, usage=True):
        self.faults = faults
        self.usage = usage
        self.lock = threading.Lock()
        self.answered: Counter[str] = Counter()
        self.prompts: Counter[str] = Counter()

    def __call__(self, _number, body):
        prompt = body["messages"][-1]["content"]
        text = self.answer(body, prompt)
        tokens = (sum(len(message["content"]) for message in body["messages"]) // 4, len(text) // 4)
        act = status(200, completion(text, usage=tokens if self.usage else None))

        def deliver(handler):
            act(handler)
            with self.lock:
                self.answered.update(requests=1, prompt_tokens=tokens[0], completion_tokens=tokens[1])
                self.prompts[hashlib.sha256((body["model"] + prompt).encode()).hexdigest()] += 1

        return deliver

    def answer(self, body, prompt):
        """The content of the answer to a prompt."""
        name = body["response_format"]["json_schema"]["name"]
        return json_text(getattr(self, f"_{name}")(prompt))

    def _ArtifactsAnswer(self, prompt):
        most = int(re.search(r"Note at most (\d+) artifacts", prompt).group(1))
        found: dict[str, list[dict[str, str]]] = {kind: [] for kind in KINDS}
        for _, _, text in PASSAGE.findall(prompt):
            for name in re.findall(r"\b[A-Z][a-z]{3,}(?: [A-Z][a-z]{3,})?\b", text)[:most]:
                if len(found["entities"]) < most:
                    found["entities"].append({"text": name, "description": "is named here", "importance": "a name"})
        return found

    def _QuestionsAnswer(self, prompt):
        passages = [(int(number), text) for _, number, text in PASSAGE.findall(prompt)]
        wanted = [
            kind for count, kind in re.findall(r"^- (\d+) × (\w+):", prompt, re.MULTILINE) for _ in range(int(count))
        ]
        across = "of document 2 >>>" in prompt
        return {"questions": [self._question(n, kind, passages, across) for n, kind in enumerate(wanted)]}

    def _question(self, n, kind, passages, across):
        place = n % len(passages)
        hops = [passages[place]]
        if kind == "multi_hop" and (len(passages) > 1 or across):
            hops.append(passages[(place + len(passages) // 2) % len(passages)] if across else passages[place - 1])
        quotes = [sentence(text, n) for _, text in hops]
        words = [word for quote in quotes for word in terms(quote)]
        chosen = sorted(words, key=lambda word: number_of(word, n))[: 4 if kind == "keyword" else 9]
        question = ("" if kind == "keyword" else "how about ") + glue(chosen) + ("" if kind == "keyword" else "?")
        fault = number_of(question) % 40 if self.faults else 39
        if fault == 0:
            question = f"According to the passage, {question}"
        elif fault == 1:
            question = quotes[0]
        elif fault == 2:
            quotes[-1] = "words that stand in no passage at all"
        elif fault == 3:
            question = "what is it about in general?"
        return {
            "question": question,
            "answer": " ".join(quotes),
            "query_type": kind,
            "reasoning_type": REASONING[number_of(question) % len(REASONING)],
            "complexity": 2 + number_of(question) % 4,
            "hops": [
                {"passage": number, "evidence": quote, "summary": "what it says"}
                for (number, _), quote in zip(hops, quotes, strict=True)
            ],
        }

    def _JudgementsAnswer(self, prompt):
        asked = re.findall(r"<<< DATA-\w+ question (\d+), to be answered .*? >>>\n(.*?)\n<<<", prompt, re.DOTALL)
        return {
            "judgements": [
                {
                    "question": int(number),
                    **{
                        name: {"justification": f"{name} as it is", "score": self._score(question, name)}
                        for name in CRITERIA
                    },
                }
                for number, question in asked
            ]
        }

    def _score(self, question, name):
        return 4 if self.faults and number_of(question) % 8 == 0 else 7 + number_of(question, name) % 4

    def _ClosedBookAnswer(self, prompt):
        known = number_of(prompt) % 5 == 0
        return {"known": known, "answer": "what everybody knows" if known else ""}

    def _Relevance(self, prompt):
        return {"reason": "so", "answers": number_of(prompt) % 4 == 0}

    def _SameAnswer(self, prompt):
        return {"reason": "so", "same": number_of(prompt) % 2 == 0}


def json_text(value):
    import json

    return json.dumps(value, ensure_ascii=False)


def sentence(text, n):
    """One sentence of a text, or its beginning."""
    found = [part.strip() for part in re.split(r"(?<=[.!?。！？؟])\s*", text) if len(part.strip()) >= 20]
    return found[n % len(found)] if found else text.strip()[:200]


def terms(quote):
    """Words, or two characters at a time where words are not parted."""
    if len(SPACELESS.findall(quote)) > len(quote) / 3:
        plain = "".join(re.findall(r"\w", quote))
        return [plain[at : at + 2] for at in range(0, len(plain) - 1, 2)]
    return re.findall(r"\w{3,}", quote) or ["nothing"]


def glue(words):
    return ("" if words and SPACELESS.match(words[0]) else " ").join(words)
