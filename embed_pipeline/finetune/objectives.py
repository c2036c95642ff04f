"""What a batch is trained for: one class for each value of ``finetune.objective``, which says what it needs.

All take the similarities ``s`` [q, p] of a batch (passage i is the positive of question i), the arrays of
:class:`embed_pipeline.finetune.collate.Collator`, and a range of questions, so that GradCache can go through a batch
in pieces: the parts of the ranges add up to the batch's loss. ``T`` is the temperature, ``s / T`` a logit. With
``finetune.lexical_share`` a contrastive objective ranks by a mixture of cosine and BM25 in place of the cosine.

One more objective is a class here, decorated with its name, and the name among the values of the setting (a test
holds both together). What a user combines with it is checked against what it says, before anything runs.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, NamedTuple, TypeVar

from embed_pipeline.errors import SettingsError
from embed_pipeline.settings import FinetuneSettings

if TYPE_CHECKING:
    import torch

Class = TypeVar("Class", bound="type[Objective]")

OBJECTIVES: "dict[str, type[Objective]]" = {}
"""By the value of ``finetune.objective``."""


def objective(name: str) -> Callable[[Class], Class]:
    """Make a class the objective that ``finetune.objective: <name>`` trains for."""

    def register(chosen: Class) -> Class:
        OBJECTIVES[name] = chosen
        return chosen

    return register


def check_objective(settings: FinetuneSettings) -> None:
    """What the objective needs must be there, and nothing that it has no use for.

    Raises:
        SettingsError: names the setting.
    """
    name, kind = settings.objective, OBJECTIVES[settings.objective]
    if kind.needs_teacher and not settings.teacher:
        raise SettingsError(f"finetune.objective is {name}, but finetune.teacher names no model.")
    if kind.needs_negatives and settings.hard_negatives == 0:
        raise SettingsError(f"finetune.objective is {name}, which needs finetune.hard_negatives of at least 1.")
    if settings.distillation_weight and not kind.takes_teacher:
        raise SettingsError(
            f"finetune.distillation_weight is set, but finetune.objective is {name}, which has no use for it."
        )
    if settings.distillation_weight and not settings.teacher:
        raise SettingsError("finetune.distillation_weight is set, but finetune.teacher names no model.")
    if settings.teacher and not (kind.needs_teacher or settings.distillation_weight):
        learners = " and ".join(sorted(other for other, kind in OBJECTIVES.items() if kind.needs_teacher))
        raise SettingsError(
            f"finetune.teacher is set, but finetune.objective is {name}; {learners} learn from it, in_batch and group "
            "with finetune.distillation_weight above 0."
        )
    if settings.false_negative_margin is not None and not kind.takes_margin:
        raise SettingsError(
            f"finetune.false_negative_margin is set, but finetune.objective is {name}, which has no use for it."
        )
    if settings.lexical_share and not kind.takes_lexical_share:
        raise SettingsError(
            f"finetune.lexical_share is set, but finetune.objective is {name}, which has no use for it."
        )


class Questions(NamedTuple):
    """Some questions of a batch and all of its passages.

    Attributes:
        similarity: [q, p].
        own, left_out, teacher, taught, lexical: of the collator, [q, p]; the last three only where the settings need
            them.
        positive: [q, p], True at each question's own positive.
    """

    similarity: "torch.Tensor"
    own: "torch.Tensor"
    left_out: "torch.Tensor"
    teacher: "torch.Tensor | None"
    positive: "torch.Tensor"
    taught: "torch.Tensor | None" = None
    lexical: "torch.Tensor | None" = None


@dataclass(frozen=True)
class Objective(ABC):
    """A loss over the similarities of a batch.

    Attributes:
        scale: 1 / T.
        false_negative_margin: passages with ``s > s(q, p+) + margin`` are left out as well; None: none are.
        lexical_share: share of BM25 in what ranks, from 0 to below 1.
        distillation_weight: of the divergence from the teacher, from 0 to 1.
        needs_teacher: it aims at a teacher's scores (``finetune.teacher``) alone.
        takes_teacher: it may aim at them besides (``finetune.distillation_weight``).
        needs_negatives: it is about a question's own hard negatives (``finetune.hard_negatives`` of at least 1).
        meets_other_processes: a question meets the passages of every training process, not only of its own.
        takes_margin: it has a use for a false-negative margin.
        takes_lexical_share: BM25 may have a share in what it ranks by.
    """

    needs_teacher: ClassVar[bool] = False
    needs_negatives: ClassVar[bool] = False
    meets_other_processes: ClassVar[bool] = False
    takes_margin: ClassVar[bool] = False
    takes_lexical_share: ClassVar[bool] = False
    takes_teacher: ClassVar[bool] = False

    scale: float
    false_negative_margin: float | None = None
    lexical_share: float = 0.0
    distillation_weight: float = 0.0

    def __call__(
        self,
        queries: "torch.Tensor",
        passages: "torch.Tensor",
        labels: Mapping[str, "torch.Tensor"],
        rows: slice,
    ) -> "torch.Tensor":
        """The part of the batch's loss that questions ``rows`` of ``queries`` [q, d] bring; passages [p, d]."""
        similarity = inner_product(queries[rows], passages)
        part = {name: value[rows] for name, value in labels.items()}
        positive = _diagonal(part["own"], rows.start or 0)
        further = (part.get("teacher"), positive, part.get("taught"), part.get("lexical"))
        questions = Questions(similarity, part["own"], part["left_out"], *further)
        return self.of_batch(self.of_questions(questions), questions, labels)

    @abstractmethod
    def of_questions(self, questions: Questions) -> "torch.Tensor":
        """The loss of these questions as if they were the batch: a mean over them, unless ``of_batch`` differs."""

    def of_batch(
        self, loss: "torch.Tensor", questions: Questions, labels: Mapping[str, "torch.Tensor"]
    ) -> "torch.Tensor":
        """What of the batch's loss is due to these questions; ``labels`` are the whole batch's."""
        return loss * (len(questions.similarity) / len(labels["own"]))


class Contrastive(Objective):
    """InfoNCE (van den Oord et al. 2018): ``-log( exp(s(q, p+)/T) / sum_p exp(s(q, p)/T) )``, mean over questions.

    The comparison with the false-negative margin takes no gradient (Qwen3 Embedding, arXiv 2506.05176, masks with a
    margin of 0.1).

    With a lexical share ``w`` the sum is over ``((1 - w) s + w b) / T``, where b is BM25 of the pair, from 0 to 1
    (:mod:`embed_pipeline.finetune.lexical`). What the words explain brings little loss, so the model learns the
    residual. Source: Gao et al. 2021, "Complement Lexical Retrieval Model with Semantic Residual Embeddings" (CLEAR),
    there as a margin in a hinge loss.

    With a distillation weight ``v`` the loss is ``(1 - v) InfoNCE + v KL(softmax(t) || softmax(...))``, over the same
    passages but for those that the teacher has not scored; what the margin leaves out is left to the teacher.
    """

    takes_margin = True
    takes_lexical_share = True
    takes_teacher = True

    def of_questions(self, questions: Questions) -> "torch.Tensor":
        import torch

        similarity, positive = questions.similarity, questions.positive
        excluded = out = self.excluded(questions)
        if self.false_negative_margin is not None:
            limit = similarity.detach()[positive].unsqueeze(1) + self.false_negative_margin
            out = out | (similarity.detach() > limit)
        logits = self.logits(questions)
        met = logits.masked_fill(out & ~positive, -torch.inf)
        loss = -(met[positive] - torch.logsumexp(met, dim=1)).mean()
        if not self.distillation_weight:
            return loss
        assert questions.teacher is not None
        assert questions.taught is not None
        taught = divergence(questions.teacher, logits, questions.taught & ~excluded | positive)
        return (1 - self.distillation_weight) * loss + self.distillation_weight * taught

    def logits(self, questions: Questions) -> "torch.Tensor":
        """[q, p]: what ranks, over the temperature."""
        if not self.lexical_share:
            return questions.similarity * self.scale
        assert questions.lexical is not None
        mixed = (1 - self.lexical_share) * questions.similarity + self.lexical_share * questions.lexical
        return mixed * self.scale

    @abstractmethod
    def excluded(self, questions: Questions) -> "torch.Tensor":
        """[q, p]: True where a passage is not in the sum."""


@objective("in_batch")
class InBatch(Contrastive):
    """Contrastive over all passages of the batch that are not left out, those of other processes included."""

    meets_other_processes = True

    def excluded(self, questions: Questions) -> "torch.Tensor":
        return questions.left_out


@objective("group")
class Group(Contrastive):
    """Contrastive over the question's own positive and negatives only (the reference recipe's loss).

    Where a question has fewer negatives than asked the reference repeats them; here there are fewer terms.
    """

    needs_negatives = True

    def excluded(self, questions: Questions) -> "torch.Tensor":
        return questions.left_out | ~questions.own


@objective("margin_mse")
class MarginMse(Objective):
    """Mean over own (positive, negative) pairs of ``((s+ - s-)/T - (t+ - t-))^2`` with the teacher's scores t.

    Hofstätter et al. 2020, arXiv 2010.02666.
    """

    needs_teacher = True
    needs_negatives = True

    def of_questions(self, questions: Questions) -> "torch.Tensor":
        """The sum over their pairs."""
        teacher, positive = questions.teacher, questions.positive
        assert teacher is not None
        pairs = questions.own & ~questions.left_out & ~positive
        logits = questions.similarity * self.scale
        margins = logits[positive].unsqueeze(1) - logits
        wanted = teacher[positive].unsqueeze(1) - teacher
        return (margins - wanted)[pairs].square().sum()

    def of_batch(
        self, loss: "torch.Tensor", questions: Questions, labels: Mapping[str, "torch.Tensor"]
    ) -> "torch.Tensor":
        """Divided by the batch's pairs: questions may have different numbers of them."""
        pairs = (labels["own"] & ~labels["left_out"]).sum() - len(labels["own"])
        return loss / pairs.clamp(min=1)


@objective("kl")
class Kl(Objective):
    """``KL(softmax(t) || softmax(s/T))`` over the own passages, mean over questions.

    As RocketQAv2 and sentence-transformers' DistillKLDivLoss.
    """

    needs_teacher = True
    needs_negatives = True

    def of_questions(self, questions: Questions) -> "torch.Tensor":
        assert questions.teacher is not None
        candidates = questions.own & ~questions.left_out | questions.positive
        return divergence(questions.teacher, questions.similarity * self.scale, candidates)


def divergence(teacher: "torch.Tensor", student: "torch.Tensor", candidates: "torch.Tensor") -> "torch.Tensor":
    """``KL(softmax(teacher) || softmax(student))`` of logits [q, p], each row over its candidates; mean over rows."""
    import torch

    wanted = teacher.masked_fill(~candidates, -torch.inf).log_softmax(1)
    given = student.masked_fill(~candidates, -torch.inf).log_softmax(1)
    return (wanted.exp() * (wanted - given))[candidates].sum() / len(student)


def _diagonal(own: "torch.Tensor", first: int) -> "torch.Tensor":
    """[rows, passages]: True at each question's own positive; ``first`` is the number of the first row."""
    import torch

    places = torch.arange(own.shape[1], device=own.device)
    return places.unsqueeze(0) == (torch.arange(len(own), device=own.device) + first).unsqueeze(1)


def inner_product(queries: "torch.Tensor", passages: "torch.Tensor") -> "torch.Tensor":
    """Inner products [q, p] of [q, d] and [p, d] in float32; the cosine, since the model normalises.

    Also under bf16 autocast, where 0.02 as temperature would turn rounding into loss.
    """
    import torch

    with torch.autocast(queries.device.type, enabled=False):
        return queries.float() @ passages.float().T
