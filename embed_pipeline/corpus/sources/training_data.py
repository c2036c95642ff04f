"""Training data in other tools' formats: each of its texts is one document and one passage."""

from pathlib import Path

from embed_pipeline.corpus.parsers.blocks import normalise
from embed_pipeline.errors import InputError
from embed_pipeline.formats.training_files import PassageText, training_file
from embed_pipeline.formats.training_questions import given_texts


def parse_training(root: Path) -> list[PassageText]:
    """Every text of the training data at ``root`` once, normalised; ids are the file's, else the recipe's hash.

    Raises:
        InputError: there is none, or it is malformed; names file and line.
    """
    file = training_file(root)
    if file is None:
        raise InputError(f"{root}: there is no training data in it.")
    return [given._replace(text=normalise(given.text).strip()) for given in given_texts(file)]
