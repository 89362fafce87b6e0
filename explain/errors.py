"""What can go wrong while a heatmap is made."""

from __future__ import annotations

from zoo.errors import ModelError


class AttributionError(ModelError):
    """A method cannot give a truthful heatmap of this model: a wrong layout, a gradient that is zero everywhere, ..."""
