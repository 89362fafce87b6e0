"""TensorBoard's event files."""

from __future__ import annotations

from pathlib import Path

from diagnose.curves import Curves
from diagnose.logs.names import assemble
from zoo.errors import DependencyError


def read_events(path: Path) -> Curves:
    """The scalars in an event file, or in all event files of a folder and the folders in it.

    Sub-folders are part of the tag (Keras writes ``train/epoch_loss`` and ``validation/epoch_loss`` so).

    Raises:
        DependencyError: tensorboard is not installed.
    """
    try:
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator  # a second, and an extra
    except ImportError:
        raise DependencyError.missing("tensorboard", extra="trackers", purpose="Reading TensorBoard's events") from None
    columns: dict[str, list[tuple[float, float]]] = {}
    folders = sorted({file.parent for file in path.rglob("*tfevents*")}) if path.is_dir() else [path]
    for folder in folders:
        events = EventAccumulator(str(folder), size_guidance={"scalars": 0, "tensors": 0})
        events.Reload()
        inner = "" if folder == path else f"{folder.relative_to(path).as_posix()}/"
        for tag in events.Tags()["scalars"]:
            columns[inner + tag] = [(float(event.step), float(event.value)) for event in events.Scalars(tag)]
        for tag in events.Tags()["tensors"]:
            columns |= _tensors(events, tag, inner)
    return assemble(columns, unit="step", source="TensorBoard events")


def _tensors(events: object, tag: str, inner: str) -> dict[str, list[tuple[float, float]]]:
    """Scalars that TensorFlow 2 wrote as tensors of one number."""
    from tensorboard.util.tensor_util import make_ndarray

    points = []
    for event in events.Tensors(tag):  # type: ignore[attr-defined]  # untyped package
        value = make_ndarray(event.tensor_proto)
        if value.size == 1 and value.dtype.kind in "fiu":
            points.append((float(event.step), float(value.reshape(()))))
    return {inner + tag: points} if points else {}
