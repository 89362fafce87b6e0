"""What a person may choose about a fine-tuning, and what was chosen for them where they did not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Literal, get_args, get_type_hints

from zoo.errors import OptionError
from zoo.registry import nearest

Augmentation = Literal["none", "light", "standard"]
Precision = Literal["no", "bf16", "fp16"]


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Everything that shapes a fine-tuning. ``None`` means: choose for me; what was chosen is in ``config.yaml``.

    Attributes:
        recipe: ``probe`` (a linear head on frozen features) or ``finetune`` (all weights, starting from the probe).
        epochs: Passes over the training images, at least 1.
        time: Seconds of training at most; the schedule is stretched over them.
        batch_size: Images behind one optimizer step, at least 1.
        learning_rate: Peak learning rate of AdamW, above 0.
        weight_decay: On weights; norms and biases have none. At least 0.
        layer_decay: Factor on the learning rate from each layer to the one below it, in (0, 1].
        warmup: Share of the steps with a rising learning rate, in [0, 1).
        patience: Epochs without a better validation score before training stops, at least 1.
        clip: Largest gradient norm, above 0.
        augmentation: ``none``, ``light`` (crops keep half of the picture) or ``standard`` (crops keep a fifth).
        flip: Whether training images are mirrored; by default only where mirroring does not mislead the probe.
        mixup: Strength of mixup, 0 for none (Zhang et al. 2018, arXiv:1710.09412).
        freeze_norm: Whether BatchNorm keeps its pretrained statistics.
        class_weights: Weigh images by the inverse frequency of their class.
        val_fraction: Share of the images held out where the data has no validation split, in (0, 1).
        precision: ``no`` (float32), ``bf16`` or ``fp16``.
        workers: Processes that decode and augment; 0 means in the training process.
        seed: Of the splits, the order, the augmentation and the folds.
    """

    recipe: Literal["probe", "finetune"] | None = None
    epochs: int | None = None
    time: float | None = None
    batch_size: int | None = None
    learning_rate: float | None = None
    weight_decay: float | None = None
    layer_decay: float | None = None
    warmup: float = 0.1
    patience: int = 5
    clip: float = 1.0
    augmentation: Augmentation | None = None
    flip: bool | None = None
    mixup: float | None = None
    freeze_norm: bool | None = None
    class_weights: bool = False
    val_fraction: float = 0.2
    precision: Precision | None = None
    workers: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        for name, low, high, sentence in _RANGES:
            value = getattr(self, name)
            if value is not None and not low <= value <= high:
                raise OptionError(f"{name} must be {sentence}. Got {value!r} instead.", remedy=_HELP)

    def override(self, values: Mapping[str, Any]) -> Settings:
        """The same settings with some changed; values may be text, as ``--set`` and YAML give them.

        Raises:
            OptionError: No such setting, or the value is of the wrong kind.
        """
        known = {field.name for field in fields(self)}
        for name in values:
            if name not in known:
                raise OptionError(f"There is no setting {name!r}.", remedy=nearest(name, dict.fromkeys(known)))
        return replace(self, **{name: _parse(name, value) for name, value in values.items()})

    def chosen(self) -> dict[str, Any]:
        """As plain values, for ``config.yaml``."""
        return asdict(self)


_HELP = "See all settings and what they are by default: zoo finetune MODEL DATA --dry-run"
_SMALLEST, _LARGEST = 1e-12, float("inf")
_RANGES: tuple[tuple[str, float, float, str], ...] = (
    ("epochs", 1, _LARGEST, "an integer, at least 1"),
    ("time", _SMALLEST, _LARGEST, "a time above 0, such as 10m or 90s"),
    ("batch_size", 1, _LARGEST, "an integer, at least 1"),
    ("learning_rate", _SMALLEST, _LARGEST, "a number above 0"),
    ("weight_decay", 0, _LARGEST, "a number, at least 0"),
    ("layer_decay", _SMALLEST, 1, "a number above 0, at most 1"),
    ("warmup", 0, 0.99, "a share from 0 to 0.99"),
    ("patience", 1, _LARGEST, "an integer, at least 1"),
    ("clip", _SMALLEST, _LARGEST, "a number above 0"),
    ("mixup", 0, _LARGEST, "a number, at least 0"),
    ("val_fraction", 0.01, 0.9, "a share from 0.01 to 0.9"),
    ("workers", 0, 256, "an integer from 0 to 256"),
    ("seed", 0, 2**31 - 1, "an integer, at least 0"),
)


def parse_time(text: str, option: str = "A time") -> float:
    """Seconds from ``90``, ``90s``, ``10m`` or ``1.5h``.

    Args:
        text: As a person wrote it.
        option: What it was written for, in the message.

    Raises:
        OptionError: It is no time above 0.
    """
    text = text.strip()
    unit = {"s": 1, "m": 60, "h": 3600}.get(text[-1:].lower())
    try:
        seconds = float(text[:-1]) * unit if unit else float(text)
    except ValueError:
        seconds = 0.0
    if not seconds > 0:
        raise OptionError(
            f"{option} must be above 0, written like 90s, 10m or 1.5h. Got {text!r} instead.",
            remedy="Write it like 90s, 10m or 1.5h.",
        )
    return seconds


def _parse(name: str, value: Any) -> Any:
    """A value of the field's own type, from YAML or from the text of ``--set``."""
    hint = get_type_hints(Settings)[name]
    members = [m for m in get_args(hint) or (hint,) if m is not type(None)]
    if value is None or (
        isinstance(value, str) and value.lower() in {"none", "auto"} and "none" not in get_args(members[0])
    ):
        if type(None) in get_args(hint):
            return None
        raise OptionError(f"{name} needs a value.", remedy=_HELP)
    kind = members[0]
    if choices := get_args(kind):
        text = {True: "yes", False: "no"}.get(value, value)  # YAML reads a bare `no` as false
        if text not in choices:
            raise OptionError(f"{name} must be one of {', '.join(choices)}. Got {value!r} instead.", remedy=_HELP)
        return text
    if name == "time" and isinstance(value, str):
        return parse_time(value)
    try:
        return _BOOLEANS[str(value).lower()] if kind is bool else kind(value)
    except (KeyError, ValueError, TypeError):
        raise OptionError(f"{name} must be of the kind {kind.__name__}. Got {value!r} instead.", remedy=_HELP) from None


_BOOLEANS = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}
