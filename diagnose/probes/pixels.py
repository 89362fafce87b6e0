"""What the network sees of a picture: normalisation, order of the channels, train against evaluation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from diagnose.algorithm_context import AlgorithmContext, significant
from diagnose.check import ALGORITHM_CHECKS
from diagnose.findings import Evidence, Kind
from diagnose.probe import Certainty, Observation, Probe
from diagnose.sandbox.measurements import ModelFacts, TransformFacts, Variant

MATCHED = Variant(reference=("transform",))


@ALGORITHM_CHECKS.register("pixels")
@dataclass(frozen=True, kw_only=True)
class Pixels(Probe):
    """Do the pixels arrive as the network needs them, and alike in training and evaluation?

    What it does: Sends black, white, red, green and blue pictures through both transforms and through the model up
    to its first layer with weights. That gives the mean and deviation that are really subtracted and divided by,
    wherever it happens, and the order of the channels. Pretrained weights are compared with their own
    configuration; others with a range in which networks train well. Then it trains with a matching transform.

    Why it is bad: Pretrained filters expect their scale; raw or twice-normalised pixels saturate or starve a network.

    Known problems: Without pretrained weights an exchanged order of channels costs nothing. A wrong mean often
    costs little once the network is fine-tuned: then it is a remark.

    Remedy: The weights' own mean and deviation, once; RGB; the same resize and normalisation in both transforms.

    References: LeCun et al., Efficient BackProp (1998), section 4.3; timm ``resolve_data_config``.

    Attributes:
        most_ratio: Largest ratio of the real and the expected deviation, either way.
        most_offset: Largest distance of the real and the expected mean, in deviations.
        least_std: Smallest deviation of what reaches a network trained from scratch; ``most_std`` the largest.
        most_mean: Largest absolute mean of that, in its own deviations, where the deviation is small.
        least_known: Accuracy, as a multiple of guessing, from which on a network knows something.
        least_flip: Accuracy that reversing the channels must win, where it does.
    """

    name = "pixels"
    causes = ("normalisation", "channel-order", "transform-mismatch")
    most_ratio: float = 1.5
    most_offset: float = 0.5
    least_std: float = 0.03
    most_std: float = 3.0
    most_mean: float = 8.0
    least_known: float = 1.5
    least_flip: float = 0.02

    def observe(self, context: AlgorithmContext) -> list[Observation]:
        """The three causes, from the model and transform audits and the training."""
        seen = []
        if context.model is not None and context.model.input_std:
            seen.append(self._normalisation(context, context.model))
        if context.transform is not None:
            seen += [self._order(context, context.transform), self._mismatch(context.transform)]
        return seen

    def _normalisation(self, context: AlgorithmContext, model: ModelFacts) -> Observation:
        if model.expected_std:
            ratio = max(max(a / b, b / a) for a, b in _pairs(model.effective_std, model.expected_std))
            offset = max(
                abs(m - e) / s
                for m, e, s in zip(model.effective_mean, model.expected_mean, model.expected_std, strict=False)
            )
            odd = ratio > self.most_ratio or offset > self.most_offset
            expected = f"the weights expect mean {_show(model.expected_mean)}, deviation {_show(model.expected_std)}"
        else:
            widest, narrowest = max(model.input_std), min(model.input_std)
            mean = max(abs(m) for m in model.input_mean)
            ratio = max(widest / self.most_std, self.least_std / max(narrowest, 1e-12))
            odd = ratio > 1 or mean > self.most_mean * max(widest, 1e-12)
            expected = f"what arrives has mean {_show(model.input_mean)}, deviation {_show(model.input_std)}"
        message = (
            f"Pixels are normalised with mean {_show(model.effective_mean)} and deviation "
            f"{_show(model.effective_std)} (of pixel / 255); {expected}."
        )
        if not odd:
            message += (
                " That is sound; yet whole pictures, not augmented and scaled by their own statistics, do better."
            )
        return Observation(
            cause="normalisation",
            certainty=Certainty.SURE if odd else Certainty.NONE,
            message=message,
            remedy="Normalise once, in build_transform, with the weights' own mean and deviation."
            if odd
            else "Resize the whole picture and leave cropping and augmentation out; put them back one at a time.",
            evidence=(
                Evidence(statistic="deviation against expected", value=ratio, reference=self.most_ratio),
                Evidence(statistic="deviation divided by", value=model.effective_std[0]),
            ),
            changes=(MATCHED,) if odd or _has_transform(context) else (),
        )

    def _order(self, context: AlgorithmContext, transform: TransformFacts) -> Observation:
        channels, run = transform.eval_channels, context.theirs
        exchanged = sorted(channels) == [0, 1, 2] and channels != (0, 1, 2)  # one channel thrice is grey
        knows = run is not None and run.accuracy > self.least_known / context.num_classes
        won = context.lift(run, run.flipped) if run is not None and knows and run.flipped is not None else None
        lift = won.value if won is not None else 0.0
        # Nothing in the transform: the pictures themselves or the model exchange the channels.
        hidden = not exchanged and won is not None and significant(won, max(self.least_flip, context.threshold))
        points = won if hidden else None
        return Observation(
            cause="channel-order",
            certainty=Certainty.SURE if exchanged else Certainty.HINT if points else Certainty.NONE,
            message=f"The channels arrive as {_names(transform.eval_channels)}."
            if exchanged
            else f"Reversing the channels at evaluation wins {lift:.1%}.",
            remedy="Keep RGB: cv2.cvtColor(image, cv2.COLOR_BGR2RGB), or drop the [::-1].",
            evidence=(
                Evidence(statistic="won by reversing", value=lift, reference=self.least_flip, kind=Kind.INTERVENTION),
            ),
            points=points,
            changes=(MATCHED,) if exchanged else (),
        )

    def _mismatch(self, transform: TransformFacts) -> Observation:
        spans = [
            [white - black for black, white in zip(low, high, strict=True)]
            for low, high in (
                (transform.train_black, transform.train_white),
                (transform.eval_black, transform.eval_white),
            )
        ]
        ratio = max(max(abs(a / b), abs(b / a)) if a * b else 9.9 for a, b in _pairs(spans[0], spans[1]))
        shift = max(
            abs(a - b) / max(abs(s), 1e-9)
            for a, b, s in zip(transform.train_black, transform.eval_black, spans[1], strict=False)
        )
        exchanged = transform.train_channels != transform.eval_channels
        odd = ratio > self.most_ratio or shift > 0.25 or exchanged
        message = f"A black-to-white step is {ratio:.3g} times as large in one transform as in the other."
        if exchanged:
            train, after = _names(transform.train_channels), _names(transform.eval_channels)
            message = f"Channels are {train} in training, {after} in evaluation."
        elif transform.random_eval:
            message = "The evaluation transform is random: two passes over a picture differ."
        return Observation(
            cause="transform-mismatch",
            certainty=Certainty.SURE if odd or transform.random_eval else Certainty.NONE,
            message=message,
            remedy="Use the same resize, scaling and normalisation in both transforms; augment in training only.",
            evidence=(
                Evidence(statistic="scale against scale", value=ratio, reference=self.most_ratio),
                Evidence(statistic="shift of black", value=shift, reference=0.25),
            ),
            changes=(Variant(augment=False), MATCHED) if odd or transform.random_eval else (),
        )


def _pairs(first: Sequence[float], second: Sequence[float]) -> list[tuple[float, float]]:
    return list(zip(first, second, strict=False))


def _show(values: Sequence[float]) -> str:
    return "(" + ", ".join(f"{round(v, 4) + 0.0:.3g}" for v in values) + ")"  # no minus before a zero


def _names(channels: Sequence[int]) -> str:
    return "grey" if len(set(channels)) == 1 else "".join("RGB"[c] for c in channels)


def _has_transform(context: AlgorithmContext) -> bool:
    return context.loaded is not None and "transform" in context.loaded.defined
