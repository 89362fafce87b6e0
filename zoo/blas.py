"""One thread for small matrices: BLAS's threads wait busily for each other, which costs up to tenfold on a busy machine."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import numpy as np
import numpy.typing as npt
from threadpoolctl import ThreadpoolController

FloatArray = npt.NDArray[np.floating]


@contextmanager
def one_thread() -> Iterator[None]:
    """NumPy's and SciPy's linear algebra on one thread; PyTorch and faiss keep theirs."""
    with _controller().limit(limits=1, user_api="blas"):
        yield


@cache
def _controller() -> ThreadpoolController:
    return ThreadpoolController()


def leading_axes(moments: FloatArray, count: int) -> FloatArray:
    """The eigenvectors of the largest eigenvalues of a symmetric matrix, ``(d, d)`` to ``(d, count)``, the largest last."""
    from scipy.linalg import eigh  # slow to import

    d = len(moments)
    with one_thread():
        axes: FloatArray = eigh(moments, subset_by_index=(d - count, d - 1))[1]
    return axes
