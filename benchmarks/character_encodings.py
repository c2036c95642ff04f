"""Which encodings of which languages are read right? A table, beside two detectors on their own.

    python benchmarks/character_encodings.py

The texts are those of ``embed_pipeline_tests/corpus/cases/encodings/samples.yaml``: thirty and more languages in the
encodings that their files are found in, as the first 100 characters and whole (150 characters of Chinese to 520 of
French). None of them names its encoding.
"""

import argparse
from collections import Counter

from embed_pipeline_tests.corpus.encoding_samples import ENCODINGS, SHORT, Reader, outcomes, read


def by_chardetng(data: bytes) -> str:
    from chardetng_py import EncodingDetector

    detector = EncodingDetector()
    detector.feed(data, last=True)
    return data.decode(detector.guess(tld=None, allow_utf8=True))


def by_charset_normalizer(data: bytes) -> str:
    from charset_normalizer import from_bytes

    best = from_bytes(data).best()
    return data.decode(best.encoding if best is not None else "ascii")


READERS: dict[str, Reader] = {"here": read, "chardetng": by_chardetng, "charset-normalizer": by_charset_normalizer}


def main() -> None:
    argparse.ArgumentParser(description=__doc__).parse_args()
    lengths = {"first 100 characters": SHORT, "whole": None}
    print("| reader | length | right | skipped | garbled |\n| --- | --- | --- | --- | --- |")
    for name, reader in READERS.items():
        for length, characters in lengths.items():
            how = Counter(one.how for one in outcomes(characters, reader))
            print(f"| {name} | {length} | {how['right']} | {how['skipped']} | {how['garbled']} |")
    print("\n| language | encodings | first 100 characters | whole |\n| --- | --- | --- | --- |")
    tables = [outcomes(characters) for characters in lengths.values()]
    for language, encodings in ENCODINGS.items():
        cells = [_cell(Counter(one.how for one in table if one.language == language)) for table in tables]
        print(f"| {language} | {encodings.replace(' ', ', ')} | {' | '.join(cells)} |")


def _cell(how: Counter[str]) -> str:
    return ", ".join(f"{count} {name}" for name, count in sorted(how.items(), reverse=True))


if __name__ == "__main__":
    main()
