"""A person's images and labels: where they come from, how they are split, and what is wrong with a file."""

from zoo.data.dataset import SPLITS, Dataset, IntArray, Sample, Skipped, Split
from zoo.data.folds import Validation, choose_validation, folds
from zoo.data.source import read, read_unlabelled
from zoo.data.splits import split

__all__ = [
    "SPLITS",
    "Dataset",
    "IntArray",
    "Sample",
    "Skipped",
    "Split",
    "Validation",
    "choose_validation",
    "folds",
    "read",
    "read_unlabelled",
    "split",
]
