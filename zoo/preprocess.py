"""How a model wants its images: geometry on the CPU as uint8, normalisation on the device."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:  # a list of models prepares no image
    import numpy as np
    import numpy.typing as npt
    import torch
    from PIL import Image

Interpolation = Literal["nearest", "bilinear", "bicubic", "lanczos"]


@dataclass(frozen=True, kw_only=True)
class Preprocess:
    """Evaluation transform of a pretrained model: resize the short side, crop the centre, scale, normalise.

    Attributes:
        size: Height and width of the model's input, pixels.
        mean: Per channel, in units of pixel / 255.
        std: Per channel, in units of pixel / 255.
        interpolation: Filter of the resize.
        crop_pct: Share of the resized short side that the crop keeps, in (0, 1].
    """

    size: tuple[int, int] = (224, 224)
    mean: tuple[float, ...] = (0.485, 0.456, 0.406)
    std: tuple[float, ...] = (0.229, 0.224, 0.225)
    interpolation: Interpolation = "bicubic"
    crop_pct: float = 0.875

    @property
    def channels(self) -> int:
        """Channels of the model's input: 3, or 1 for grey models such as LeNet-5."""
        return len(self.mean)

    def pixels(self, image: Image.Image) -> npt.NDArray[np.uint8]:
        """Resize and crop an RGB image to ``(height, width, channels)``, uint8."""
        import numpy as np
        from PIL.Image import Resampling

        height, width = self.size
        scale = max(height / self.crop_pct / image.height, width / self.crop_pct / image.width)
        resized = (max(width, round(image.width * scale)), max(height, round(image.height * scale)))
        left, top = round((resized[0] - width) / 2), round((resized[1] - height) / 2)
        # One filter pass over only the part of the photograph that the crop keeps.
        box = (left / resized[0] * image.width, top / resized[1] * image.height)
        far = ((left + width) / resized[0] * image.width, (top + height) / resized[1] * image.height)
        if self.channels == 1:
            image = image.convert("L")
        filter_ = Resampling[self.interpolation.upper()]
        cropped = image.resize((width, height), filter_, box=(*box, *far))
        return np.asarray(cropped, dtype=np.uint8).reshape(height, width, self.channels)

    def normalise(self, pixels: torch.Tensor, dtype: torch.dtype | None = None) -> torch.Tensor:
        """``(n, height, width, channels)`` uint8 to a normalised ``(n, channels, height, width)`` batch, float32 by default.

        The result is in ``channels_last`` memory format, on the device of ``pixels``.
        """
        import torch  # 1 s that a list of models need not pay

        # Whole rows of pixels: a vector of three channels would leave most of the processor's width idle.
        mean = (torch.tensor(self.mean, device=pixels.device) * 255).repeat(pixels.shape[2])
        std = (torch.tensor(self.std, device=pixels.device) * 255).repeat(pixels.shape[2])
        rows = (pixels.flatten(2).to(torch.float32) - mean) / std
        return rows.to(dtype or torch.float32).view(pixels.shape).permute(0, 3, 1, 2)
