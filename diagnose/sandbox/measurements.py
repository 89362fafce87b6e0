"""What the worker measures. Frozen records of plain numbers: they cross a process border as JSON."""

from __future__ import annotations

import dataclasses
import types
import typing
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

MishapKind = Literal["crash", "hang", "exit", "memory", "died"]
OutputDomain = Literal["logits", "log-probabilities", "probabilities", "unit-interval"]


@dataclass(frozen=True, kw_only=True)
class Mishap:
    """Something in the person's code that stopped an experiment.

    Attributes:
        experiment: What was being tried.
        kind: An exception, no answer in time, ``exit()``, out of memory, or the process ended.
        error: The exception's type and message, or a sentence.
        line: Line number in the person's file (1 is the first); ``None`` where it is not in their file.
        source: That line's text.
        file: Name of the file that the line is in, relative to the algorithm's folder.
        output: The last lines that their code printed.
    """

    experiment: str
    kind: MishapKind
    error: str
    line: int | None = None
    source: str = ""
    file: str = ""
    output: str = ""


@dataclass(frozen=True, kw_only=True)
class Loaded:
    """Which parts the file defines, and its constants."""

    defined: tuple[str, ...]
    epochs: int
    batch_size: int
    scheduler_unit: str


@dataclass(frozen=True, kw_only=True)
class LoadCall:
    """One ``load_state_dict`` seen while the model was built: how many of the model's tensors were filled."""

    matched: int
    missing: int
    unexpected: int


@dataclass(frozen=True, kw_only=True)
class ModelFacts:
    """The model as built, and its answers to one batch in evaluation mode.

    Attributes:
        parameters: Number of scalars.
        trainable: Those with ``requires_grad``.
        optimised: Trainable scalars that the optimizer holds.
        new: Scalars that no checkpoint filled; ``new_optimised`` those of them that train.
        forgotten: Names of trainable tensors that the optimizer does not hold (at most 5).
        foreign: Tensors that the optimizer holds and the model does not have.
        head: Name of the last layer with weights.
        head_optimised: Whether the optimizer holds it.
        output: Type of what the model returns ("Tensor", "tuple", ...).
        shape: Of the output, where it is a tensor.
        finite: Whether all outputs are finite.
        domain: What the rows look like: logits, log-probabilities, probabilities, or each in [0, 1].
        mixing: Largest change of a row of the output when the *other* images of the batch change, relative to the
            spread of the output (0 for a sound model).
        repeat: Largest change between two evaluation passes on one batch, relative likewise.
        weighted: Convolutions and matrix products in one forward pass.
        activations: Non-linear operations before the last of them (pooling is not counted).
        spread: Standard deviation over images of the outputs, relative to their size; 0: the same answer to everything.
        dead: Share of rectified units that are 0 for every image of the batch, worst layer.
        constant: Names of weight matrices whose entries are all equal (at most 5).
        dtype: Of the first weight.
        batchnorms: Number of batch-norm layers; ``untracked`` of them keep no running statistics.
        dropouts: Number of dropout layers with p > 0; ``dropout`` is the largest p.
        loads: Calls of ``load_state_dict`` while the model was built.
        input_mean: Mean, per channel, of what reaches the first layer with weights; ``input_std`` likewise.
        effective_mean: Mean that transform and model together subtract, measured with a black and a white picture,
            units
            of pixel / 255; ``effective_std`` is what they divide by.
        expected_mean: What the pretrained weights want; empty where nothing says so.
    """

    parameters: int
    trainable: int
    optimised: int
    new: int
    new_optimised: int
    forgotten: tuple[str, ...]
    foreign: int
    head: str
    head_optimised: bool
    output: str
    shape: tuple[int, ...]
    finite: bool
    domain: OutputDomain
    mixing: float
    repeat: float
    weighted: int
    activations: int
    spread: float
    dead: float
    constant: tuple[str, ...]
    dtype: str
    batchnorms: int
    untracked: int
    dropouts: int
    dropout: float
    loads: tuple[LoadCall, ...]
    input_mean: tuple[float, ...]
    input_std: tuple[float, ...]
    effective_mean: tuple[float, ...]
    effective_std: tuple[float, ...]
    expected_mean: tuple[float, ...]
    expected_std: tuple[float, ...]
    weight_decay: float
    learning_rate: float
    optimizer: str
    epsilon: float


@dataclass(frozen=True, kw_only=True)
class LossFacts:
    """The loss as a function of the model's outputs, with a stand-in model that returns chosen outputs.

    Attributes:
        through: Whether the person's ``train_step`` could be driven with the stand-in, or only their loss function.
        right: Least loss over right answers of growing confidence, in nats; ``uniform`` and ``wrong`` at one scale.
        limit: Loss at the most confident right answer; ``slope`` is how far it still moves when that doubles.
        favoured: Share of rows whose gradient raises the true class more than any other.
        consistent: Share of rows whose favoured class is the commonest one for their label: near 1 with ``favoured``
            near 0 is a map between the labels. 0 where few classes are favoured at all.
        scaling: Loss of a batch of 2n over that of n, both at uniform outputs: 1 for a mean, 2 for a sum.
    """

    through: Literal["train_step", "loss"]
    right: float
    limit: float
    slope: float
    uniform: float
    wrong: float
    favoured: float
    consistent: float
    scaling: float


@dataclass(frozen=True, kw_only=True)
class StepFacts:
    """What the person's training step does to a fresh model, on one batch, with augmentation off.

    Attributes:
        calls: Calls of the step.
        updates: Calls of ``optimizer.step`` among them.
        stale: Share of updates after which the next backward pass added to the old gradient.
        empty: Share of updates at which every gradient was zero or missing.
        moved: Share of the trainable tensors that the optimizer holds whose values changed.
        reached: Share of them that changed or found a gradient: too small a step is lost to rounding. ``new_reached`` of
            those among them that no checkpoint filled (1 where there are none).
        agreement: Cosine between their gradient and that of cross-entropy on the same batch.
        kept: Norm of the gradient at the update over its norm after backward (under 1: clipped), median over updates.
        zeros: Share of exact zeros in the gradient, less the share in the float32 gradient of cross-entropy.
        finite: Whether every gradient was finite.
        initial_loss: Loss of the first call, nats where it is cross-entropy.
        cross_entropy: Mean cross-entropy of the fresh model's outputs, nats.
        vanishing: Median gradient-to-weight ratio of the first quarter of the layers over that of the last.
        training: Share of the forward passes that found the model in training mode.
        half: Whether the forward pass ran in float16.
        rescued: Whether float32 gives a gradient where float16 gave none at all.
    """

    calls: int
    updates: int
    stale: float
    empty: float
    moved: float
    reached: float
    new_reached: float
    agreement: float
    kept: float
    zeros: float
    finite: bool
    initial_loss: float
    cross_entropy: float
    vanishing: float
    training: float
    half: bool
    rescued: bool


@dataclass(frozen=True, kw_only=True)
class TransformFacts:
    """The transforms for training and evaluation, side by side on the same pictures.

    Attributes:
        train_mean: Mean per channel of the training transform's output; the other three likewise.
        train_black: What a black picture becomes, per channel (median over draws); ``train_white`` likewise.
        train_channels: For each output channel the primary colour (0 R, 1 G, 2 B) that it answers to most.
        random_train: Whether two passes over a picture differ.
        repeated: Whether two loader workers draw the very same augmentations.
        similarity: Median correlation, over pictures, of a train output with the evaluation output.
        shapes: Of the two outputs.
    """

    train_mean: tuple[float, ...]
    train_std: tuple[float, ...]
    eval_mean: tuple[float, ...]
    eval_std: tuple[float, ...]
    train_black: tuple[float, ...]
    train_white: tuple[float, ...]
    eval_black: tuple[float, ...]
    eval_white: tuple[float, ...]
    train_channels: tuple[int, ...]
    eval_channels: tuple[int, ...]
    random_train: bool
    random_eval: bool
    repeated: bool
    similarity: float
    train_shape: tuple[int, ...]
    eval_shape: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class LoaderFacts:
    """Their training loader driven with coded items: item i holds the number i.

    Attributes:
        misaligned: Share of rows whose label is not the one of their picture.
        shuffled: Whether two epochs come in different orders.
        seen: Share of the items that an epoch holds.
        purity: Mean over batches of the commonest class's share, over the same for random batches.
    """

    misaligned: float
    shuffled: bool
    seen: float
    purity: float


@dataclass(frozen=True, kw_only=True)
class ScheduleFacts:
    """The learning rate over the whole training, without training: at most 200 equally spaced values."""

    rates: tuple[float, ...]
    steps: int


@dataclass(frozen=True, kw_only=True)
class EpochFacts:
    """One epoch. Losses are cross-entropies in nats; ``loss`` is what their step returned, mean over the epoch."""

    loss: float
    validation_loss: float
    accuracy: float
    score: float | None


@dataclass(frozen=True, kw_only=True)
class Variant:
    """The person's algorithm with something replaced.

    Attributes:
        reference: Parts taken from the known-good recipe ("model", "transform", "loss", ...).
        learning_rate: Factor on every group's learning rate.
        epochs: Factor on the number of epochs.
        augment: Whether the training transform is used for training; else the evaluation transform.
        regularise: Whether dropout and weight decay stay.
        unfreeze: Whether the layers that do not train are made to: those that no checkpoint filled, all of them where
            those do already.
        clip: Whether gradient clipping stays.
        reset: Whether weights that no checkpoint filled are initialised anew as their modules' defaults have it.
        precise: Whether autocast and float16 are kept off.
    """

    reference: tuple[str, ...] = ()
    learning_rate: float = 1.0
    epochs: float = 1.0
    augment: bool = True
    regularise: bool = True
    unfreeze: bool = False
    clip: bool = True
    reset: bool = False
    precise: bool = False


@dataclass(frozen=True, kw_only=True)
class RunFacts:
    """One training from start to end.

    Attributes:
        variant: What was trained.
        data: "theirs" or "digits", the bundled known-good pictures.
        seed: Of everything random.
        images: Training pictures; the subset's size.
        validation: Validation pictures.
        finished: False where time ran out before the last epoch.
        curve: One record an epoch.
        predictions: Our own argmax of the final model on every validation picture, in order.
        labels: Their labels.
        train_accuracy: On (at most 256) training pictures, evaluation transform.
        relabelled: Validation accuracy under the best permutation of the classes.
        restated: Predictions after batch-norm statistics were estimated anew; ``None`` without batch-norm, and of swaps.
        flipped: Predictions with the channel order reversed at evaluation; only of the algorithm as it stands.
        training_mode: Share of the steps' forward passes, after the first evaluation, that found the model in training
            mode.
        evaluation_mode: The same of the passes of their ``evaluate``; 0 is right.
        clipped: Share of updates whose gradient had been shortened to under half.
        score: What their ``evaluate`` returned at the end; ``None`` where we evaluate.
        step_seconds: Median of one training step.
    """

    variant: Variant
    data: str
    seed: int
    images: int
    validation: int
    finished: bool
    curve: tuple[EpochFacts, ...]
    predictions: tuple[int, ...]
    labels: tuple[int, ...]
    train_accuracy: float
    relabelled: float
    restated: tuple[int, ...] | None
    flipped: tuple[int, ...] | None
    training_mode: float
    evaluation_mode: float
    clipped: float
    score: float | None
    seconds: float
    step_seconds: float

    @property
    def accuracy(self) -> float:
        """Our own validation accuracy of the final model, a fraction."""
        if not self.labels:
            return 0.0
        return sum(p == t for p, t in zip(self.predictions, self.labels, strict=True)) / len(self.labels)


@dataclass(frozen=True, kw_only=True)
class OverfitFacts:
    """Training on one batch only, augmentation off: a sound algorithm learns it by heart.

    Attributes:
        first: Seconds that a picture's first forward pass in a training takes beyond a later one: some keep features.
        once: Seconds that a picture costs each training: a forward pass, and its transform where that is not random.
        each: Seconds that it costs each epoch.
    """

    images: int
    steps: int
    first_loss: float
    last_loss: float
    accuracy: float
    first: float
    once: float
    each: float


R = TypeVar("R")


def encode(record: Any) -> Any:
    """A record as JSON values."""
    return dataclasses.asdict(record)


def decode(kind: type[R], value: dict[str, Any]) -> R:
    """The record that :func:`encode` wrote. Tuples and nested records are restored from the type hints."""
    hints = typing.get_type_hints(kind)
    return kind(**{name: _restore(hints[name], item) for name, item in value.items()})


def _restore(hint: Any, value: Any) -> Any:
    if value is None:
        return None
    if isinstance(hint, types.UnionType):
        hint = next(a for a in typing.get_args(hint) if a is not type(None))
    if typing.get_origin(hint) is tuple:
        item = typing.get_args(hint)[0]
        return tuple(_restore(item, v) for v in value)
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return decode(hint, value)
    return value
