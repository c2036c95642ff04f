"""What the words of a question say of a passage, on the scale that BM25 has where both rankings are fused.

The fused score of :func:`embed_pipeline.retrieval.fusion.convex` divides BM25 by the best score of the question over
the whole corpus. So it is done here, with the training passages as the corpus: over the best of a batch, a question
whose words stand in no passage of the batch would find one that scores 1 all the same, and the scale would change with
the batch and with the number of processes.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from embed_pipeline.records import TrainingRow
from embed_pipeline.retrieval.word_index import word_index
from embed_pipeline.settings import Bm25Settings


class LexicalScores:
    """BM25 over every passage that is trained on, each text once.

    Args:
        rows: texts are taken as the encoder sees them, so what is cut out of a positive counts for neither side.
        negatives: of each row that are used.
        settings: how words are compared; titles, which are not known of negatives, count once.
    """

    def __init__(self, rows: Sequence[TrainingRow], negatives: int, settings: Bm25Settings | None = None) -> None:
        texts = dict.fromkeys(text for row in rows for text in (row.positive, *list(row.negatives)[:negatives]))
        self._places = {text: place for place, text in enumerate(texts)}
        self._index = word_index(list(texts), None, settings or Bm25Settings())

    def of(self, questions: Sequence[str], passages: Sequence[str]) -> NDArray[np.float32]:
        """[questions, passages] from 0 to 1, where 1 is the best training passage; 0 where no word is shared.

        Every passage must be one of the rows'.
        """
        places = [self._places[text] for text in passages]
        found = np.zeros((len(questions), len(places)), np.float32)
        for row, question in enumerate(questions):
            scores = self._index.scores([question])[0]
            best = scores.max(initial=0.0)
            if best > 0:
                found[row] = scores[places] / best
        return found
