"""Training images: decoded once, kept as uint8 while they fit, augmented anew every time.

The augmentation of an image depends on the seed, the epoch and the image alone. So a training that was interrupted goes
on with the same pictures, however many workers there are and wherever it stopped.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import numpy.typing as npt
import psutil
import torch
from PIL import Image
from torch.utils.data import Dataset as TorchDataset
from torchvision.transforms import v2

from zoo.data.decode import decode
from zoo.data.files import read_file
from zoo.preprocess import Preprocess
from zoo.settings import Augmentation

Pixels = npt.NDArray[np.uint8]

#: Short side of a kept image, relative to the model's input: room for crops to move in.
_MARGIN = 1.15
#: Share of the free memory that kept images may fill.
_MEMORY_SHARE = 0.4
_FILL_STEP = 256


def derive_seed(*parts: object) -> int:
    """A 63-bit seed for a position (seed, epoch, image, ...); nearby positions give unrelated seeds."""
    digest = hashlib.blake2b(repr(parts).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1


def augmentation(kind: Augmentation, preprocess: Preprocess, *, flip: bool) -> v2.Transform:
    """From a decoded image of any size to one of the model's size.

    TrivialAugment: Mueller and Hutter 2021, arXiv:2103.10158.
    """
    if kind == "none":
        return v2.Lambda(lambda image: _fit(image, preprocess))
    scale = (0.5, 1.0) if kind == "light" else (0.2, 1.0)
    steps: list[v2.Transform] = [
        v2.RandomResizedCrop(preprocess.size, scale=scale, interpolation=v2.InterpolationMode.BICUBIC),
        *([v2.RandomHorizontalFlip()] if flip else []),
        v2.TrivialAugmentWide(interpolation=v2.InterpolationMode.BILINEAR),
    ]
    return v2.Compose(steps)


class KeptImages:
    """Decoded images, kept in memory while there is room; the rest is decoded again each time.

    Args:
        files: Where they lie.
        load: From a file's bytes to ``(height, width, 3)`` or ``(height, width, 1)`` uint8.
        room: Bytes that may be kept; by default a share of the free memory.
    """

    def __init__(self, files: Sequence[Path], load: Callable[[bytes], Pixels], *, room: float | None = None) -> None:
        self._files = files
        self._load = load
        self._kept: dict[int, Pixels] = {}
        self._room = psutil.virtual_memory().available * _MEMORY_SHARE if room is None else room

    def __len__(self) -> int:
        return len(self._files)

    def __getitem__(self, index: int) -> Pixels:
        """The image at ``index``."""
        pixels = self._kept.get(index)
        if pixels is None:
            pixels = self._load(read_file(self._files[index]))
            if pixels.nbytes <= self._room:
                self._kept[index] = pixels
                self._room -= pixels.nbytes
        return pixels

    def fill(self) -> None:
        """Decode what fits, on all cores. Worker processes that are forked afterwards share it."""
        with ThreadPoolExecutor() as pool:
            for start in range(0, len(self), _FILL_STEP):
                if self._room <= 0:
                    return
                deque(pool.map(self.__getitem__, range(start, min(start + _FILL_STEP, len(self)))), maxlen=0)


class TrainingImages(TorchDataset[tuple[torch.Tensor, int]]):
    """Augmented images, asked for by ``(epoch, index)``.

    Args:
        files: Where the images lie.
        labels: Their classes.
        preprocess: What the model wants.
        transform: From ``augmentation``.
        seed: Of everything random.
    """

    def __init__(
        self,
        files: Sequence[Path],
        labels: Sequence[int],
        *,
        preprocess: Preprocess,
        transform: v2.Transform,
        seed: int,
    ) -> None:
        side = round(min(preprocess.size) / preprocess.crop_pct * _MARGIN)
        self.images = KeptImages(files, lambda data: _with_margin(data, side))
        self._labels = labels
        self._channels = preprocess.channels
        self._transform = transform
        self._seed = seed

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, key: tuple[int, int]) -> tuple[torch.Tensor, int]:
        """One image ``(height, width, channels)``, uint8, and its class."""
        epoch, index = key
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derive_seed(self._seed, epoch, index))
            image = self._transform(Image.fromarray(self.images[index]))
        if self._channels == 1:
            image = image.convert("L")
        pixels = np.array(image, dtype=np.uint8).reshape(image.height, image.width, self._channels)
        return torch.from_numpy(pixels), self._labels[index]


def _with_margin(data: bytes, side: int) -> Pixels:
    image = decode(data, short_side=side)
    if min(image.size) > side:
        scale = side / min(image.size)
        image = image.resize((round(image.width * scale), round(image.height * scale)), Image.Resampling.BICUBIC)
    return np.asarray(image)


def _fit(image: Image.Image, preprocess: Preprocess) -> Image.Image:
    pixels = preprocess.pixels(image)
    return Image.fromarray(pixels if preprocess.channels == 3 else pixels[..., 0])


def epoch_batches(count: int, batch_size: int, *, epoch: int, seed: int) -> list[list[tuple[int, int]]]:
    """The batches of one epoch as ``(epoch, index)`` keys, in an order that depends on the seed and the epoch alone.

    All batches are of one size; the few images that are left over come again in another epoch's order.
    """
    order = torch.randperm(count, generator=torch.Generator().manual_seed(derive_seed(seed, epoch))).tolist()
    size = min(batch_size, count)
    return [[(epoch, i) for i in order[start : start + size]] for start in range(0, count - size + 1, size)]
