from __future__ import annotations

import numpy as np

from explain.outputs import file_stem
from explain.render import colour_scale, overlay, scale_of


def oklab(srgb: np.ndarray) -> np.ndarray:
    """sRGB to Oklab by the published forward matrices: independent of the inverse ones that the scale is made with."""
    value = srgb / 255
    linear = np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
    cones = linear @ np.array(
        [[0.4122214708, 0.2119034982, 0.0883024619],
         [0.5363325363, 0.6806995451, 0.2817188376],
         [0.0514459929, 0.1073969566, 0.6299787005]]
    )  # fmt: skip
    return np.cbrt(cones) @ np.array(
        [[0.2104542553, 1.9779984951, 0.0259040371],
         [0.7936177850, -2.4285922050, 0.7827717662],
         [-0.0040720468, 0.4505937099, -0.8086757660]]
    )  # fmt: skip


def test_the_colour_scale_is_perceptually_uniform_and_symmetric() -> None:
    lab = oklab(colour_scale().astype(np.float64))
    steps = np.linalg.norm(np.diff(np.stack([lab[:128:15], lab[:127:-15]]), axis=1), axis=2)
    assert steps.max() / steps.min() < 1.15
    np.testing.assert_allclose(lab[:, 0], lab[::-1, 0], atol=0.01)
    assert (np.diff(lab[:128, 0]) > -0.004).all()  # darker outwards on both sides, up to rounding to 8 bits
    assert lab[128, 0] > 0.95


def test_zero_lets_the_picture_through_and_signs_have_their_own_colours() -> None:
    pixels = np.full((224, 240, 3), 128, dtype=np.uint8)
    relevance = np.zeros((224, 240), dtype=np.float32)
    relevance[:, :80], relevance[:, 160:] = -1, 1
    shown = np.asarray(overlay(pixels, relevance, 1.0)).astype(int)
    left, middle, right = shown[10, 10], shown[10, 120], shown[10, 230]
    assert middle.max() - middle.min() <= 3
    assert left[2] > left[0] + 50
    assert right[0] > right[2] + 50


def test_a_grey_picture_and_a_map_that_is_not_finite_can_be_shown() -> None:
    relevance = np.array([[np.nan, np.inf], [0, 1]], dtype=np.float32).repeat(20, 0).repeat(20, 1)
    assert overlay(np.zeros((40, 40, 1), dtype=np.uint8), relevance, scale_of(relevance[None])).width == 240
    assert scale_of(np.zeros((2, 4, 4), dtype=np.float32)) == 1.0


def test_output_names_cannot_leave_their_folder() -> None:
    for name in (
        "../../etc/passwd",
        "..\\..\\x.png",
        "/abs/olute.jpg",
        "a/../../b.png",
        "..",
        "",
        "\x00\n",
        "x" * 500,
        "CON",
    ):
        stem = file_stem(7, name)
        assert stem.startswith("0007")
        assert set(stem) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-")
        assert len(stem) <= 65
