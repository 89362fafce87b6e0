"""Heatmaps that carry their own score.

>>> from explain import explain
>>> found = explain("runs/latest", "photos/", out="why/")     # doctest: +SKIP
>>> found[0].score.badge                                      # doctest: +SKIP
<Badge.FAITHFUL: 'faithful'>
"""

import lazy_loader

# What is exported, and from where, stands in __init__.pyi (SPEC 1): a mistyped argument is told without torch.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
