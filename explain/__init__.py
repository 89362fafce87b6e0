"""Heatmaps that carry their own score.

>>> from explain import explain
>>> found = explain("runs/latest", "photos/", out="why/")     # doctest: +SKIP
>>> found[0].score.badge                                      # doctest: +SKIP
<Badge.FAITHFUL: 'faithful'>
"""

from explain.attribution import METHODS, Attribution, Method, attribute, class_weights
from explain.classifier import Classifier
from explain.errors import AttributionError
from explain.explanation import Explanation, Explanations, Score
from explain.faithfulness import Badge, Deletion, relevance_gain
from explain.shortcuts import Effect, Level, Shortcut
from explain.structure import Structure, find_structure
from explain.workflow import ExplainSettings, explain

__all__ = [
    "METHODS",
    "Attribution",
    "AttributionError",
    "Badge",
    "Classifier",
    "Deletion",
    "Effect",
    "ExplainSettings",
    "Explanation",
    "Explanations",
    "Level",
    "Method",
    "Score",
    "Shortcut",
    "Structure",
    "attribute",
    "class_weights",
    "explain",
    "find_structure",
    "relevance_gain",
]
