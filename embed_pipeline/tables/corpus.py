"""What is read: files, documents, passages."""

import dataframely as dy

from embed_pipeline.tables.kinds import count_column, text_column


class CorpusManifest(dy.Schema):
    """Every file of the corpus folder."""

    path = text_column("Path relative to the corpus folder, with /.", primary_key=True)
    bytes = count_column("Size of the file.")
    sha256 = text_column("Hash of its bytes; empty when the file could not be read.")
    status = text_column("read or skipped.", regex="^(read|skipped)$")
    reason = text_column("Why it was skipped.", nullable=True)


class Documents(dy.Schema):
    """Extracted text."""

    doc_id = text_column(
        "The path; the id in a BEIR corpus or training data; the file_name of SDG records.", primary_key=True
    )
    path = text_column("File it came from.")
    title = text_column("Title; empty when there is none.")
    text = text_column("The whole extracted text; every span refers to it.", min_length=1)
    sections = dy.List(
        dy.Struct(
            {
                "heading": dy.String(nullable=False),
                "level": dy.Int64(nullable=False),
                "start": dy.Int64(nullable=False),
                "end": dy.Int64(nullable=False),
            },
            nullable=False,
        ),
        nullable=False,
        description="Headings with their level and the character span they head, in order, end exclusive.",
    )
    language = text_column("ISO 639-1 code, und when it cannot be told.")
    group_id = text_column("Documents with the same group are near-duplicates; the lowest document id of the group.")
    sha256 = text_column("Hash of the file's bytes.")


class Passages(dy.Schema):
    """Chunks of documents; text == document text[start:end]."""

    passage_id = text_column("Document id, #, position; or the id in a BEIR corpus or training data.", primary_key=True)
    doc_id = text_column("Document it was cut from.")
    position = count_column("0-based order within the document.")
    start = count_column("First character in the document's text.")
    end = count_column("One past the last character.")
    title = text_column(
        "Document title, section heading, and the heading row of the table that the passage goes on with; encoded "
        "before the text."
    )
    text = text_column("The passage.", min_length=1)
    token_count = count_column("Base-model tokens of the text.")
    group_id = text_column("Passages with the same group are near-duplicates; the lowest passage id of the group.")
    language = text_column("ISO 639-1 code, und when it cannot be told.")


class Dropped(dy.Schema):
    """What of a document's file is not in its text, or stands there otherwise."""

    doc_id = text_column("The document.", primary_key=True)
    kind = text_column("What it was, as docs/documents.md lists the kinds.", primary_key=True)
    count = count_column("Pieces: lines, nodes, pages, bytes.", min=1)
    characters = count_column("Characters left out, white space not counted; 0 where they were replaced.")
    examples = dy.List(
        dy.String(nullable=False), nullable=False, max_length=3, description="The first of them, cut at 200 characters."
    )


class Metadata(dy.Schema):
    """What files, and rows of tables and of BEIR folders, tell of their documents beside title and text."""

    doc_id = text_column("The document.", primary_key=True)
    name = text_column(
        "url, date, tags, groups, author, language; of rows also what corpus.columns or the row names.",
        primary_key=True,
    )
    value = text_column("What it is; of a list each entry. Dates are ISO 8601.", primary_key=True)


class Chunks(dy.Schema):
    """Passages that SDG records give ready-made, stored beside the documents."""

    doc_id = text_column("Document it is part of.", primary_key=True)
    position = count_column("0-based order within the document.", primary_key=True)
    start = count_column("First character in the document's text.")
    end = count_column("One past the last character.")
