"""What the pass notes of a picture, against plain definitions."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image
from scipy.fft import dctn

from zoo.data.decode import decode_picture
from zoo.statistics import STATISTICS, jpeg_quality, measure, perceptual_hashes


def picture(seed=0, size=(120, 90)):
    rng = np.random.default_rng(seed)
    return Image.fromarray(rng.integers(0, 256, (6, 8, 3), dtype=np.uint8)).resize(size, Image.Resampling.BICUBIC)


def encoded(image, kind="PNG", **options):
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def record(image, kind="PNG", **options):
    data = encoded(image, kind, **options)
    return measure(decode_picture(data), len(data))


def test_sizes_and_kinds_are_those_of_the_file():
    data = encoded(picture(), "JPEG")
    found = measure(decode_picture(data), len(data))
    assert found.dtype == STATISTICS
    assert (int(found["bytes"]), int(found["width"]), int(found["height"])) == (len(data), 120, 90)
    assert (found["format"].item(), found["mode"].item()) == (b"JPEG", b"RGB")
    assert record(picture().convert("L"))["mode"].item() == b"L"


def test_light_is_measured_as_defined():
    image = picture()
    found = record(image)
    grey = np.asarray(image.convert("L"), dtype=np.float64) / 255
    assert found["brightness"] == pytest.approx(grey.mean(), abs=1e-4)
    assert found["contrast"] == pytest.approx(grey.std(), abs=1e-4)
    assert found["dark"] == pytest.approx(np.percentile(grey, 99), abs=2 / 255)
    assert found["bright"] == pytest.approx(np.percentile(grey, 5), abs=2 / 255)
    share = np.unique(np.rint(grey * 255), return_counts=True)[1] / grey.size
    assert found["entropy"] == pytest.approx(-(share * np.log2(share)).sum(), abs=1e-4)


def test_a_black_and_a_white_picture_are_at_the_ends_of_every_scale():
    black, white = (record(Image.new("RGB", (50, 50), (v, v, v))) for v in (0, 255))
    assert (black["brightness"], black["dark"], white["brightness"], white["bright"]) == (0, 0, 1, 1)
    assert black["entropy"] == black["sharpness"] == black["colourfulness"] == black["contrast"] == 0


def test_blur_lowers_sharpness_and_noise_raises_it():
    rng = np.random.default_rng(0)
    noise = Image.fromarray(rng.integers(0, 256, (200, 200, 3), dtype=np.uint8))
    soft = noise.resize((50, 50), Image.Resampling.BOX).resize((200, 200), Image.Resampling.BICUBIC)
    assert record(noise)["sharpness"] > 20 * record(soft)["sharpness"]


def test_only_coloured_pictures_are_colourful():
    assert record(Image.new("RGB", (50, 50), (255, 0, 0)))["colourfulness"] == pytest.approx(1)
    assert record(picture().convert("L"))["colourfulness"] == 0


def test_borders_corners_and_thumbnail_show_what_is_there():
    pixels = np.zeros((200, 200, 3), dtype=np.uint8)
    pixels[:10] = (200, 0, 0)
    pixels[-20:, :20] = (0, 0, 250)
    found = record(Image.fromarray(pixels))
    assert found["border"][0].tolist() == [200, 0, 0]
    assert found["corners"][3].tolist() == [0, 0, 250]
    assert found["corners"][2].tolist() == [0, 0, 0]
    assert found["thumbnail"][0, 4, 0] == pytest.approx(200 * 10 / 25, abs=1)


def test_the_perceptual_hash_is_that_of_the_plain_transform():
    grey = picture().convert("L")
    small = np.asarray(grey.resize((32, 32), Image.Resampling.BOX), dtype=np.float64)
    c = dctn(small, type=2)[:8, :8]
    bits = (c.ravel() > np.median(c.ravel()[1:])).astype(np.uint64)
    expected = int((bits << np.arange(64, dtype=np.uint64)).sum())
    assert int(perceptual_hashes(grey)[0]) == expected


@pytest.mark.parametrize("mirror", [False, True])
@pytest.mark.parametrize("turns", range(4))
def test_a_turned_or_mirrored_picture_has_the_hash_noted_for_that_turn(turns, mirror):
    grey = picture().convert("L")
    pixels = np.asarray(grey)
    turned = np.ascontiguousarray(np.rot90(np.fliplr(pixels) if mirror else pixels, turns))
    assert perceptual_hashes(Image.fromarray(turned))[0] == perceptual_hashes(grey)[turns + 4 * mirror]


def test_exact_copies_in_lossless_files_share_a_pixel_hash_and_others_do_not():
    image = picture()
    assert record(image, "PNG")["pixel_hash"] == record(image, "BMP")["pixel_hash"]
    changed = image.copy()
    changed.putpixel((3, 3), (0, 255, 0))
    assert record(image)["pixel_hash"] != record(changed)["pixel_hash"]


def test_a_resaved_copy_has_nearly_the_same_hashes():
    image = picture()
    original, copy = record(image), record(image.resize((200, 150)), "JPEG", quality=40)
    for name in ("dhash", "phash"):
        a, b = (int(np.atleast_1d(r[name])[0]) for r in (original, copy))
        assert (a ^ b).bit_count() <= 8
    other = record(picture(seed=5))
    assert (int(original["phash"][0]) ^ int(other["phash"][0])).bit_count() > 16


@pytest.mark.parametrize("quality", [10, 30, 50, 75, 90, 95])
def test_the_quality_of_a_jpeg_is_read_from_its_tables(quality):
    assert int(record(picture(), "JPEG", quality=quality)["quality"]) == pytest.approx(quality, abs=1)


def test_other_formats_have_no_quality():
    assert record(picture())["quality"] == 0
    assert jpeg_quality({}) == 0


def test_exif_gives_time_and_camera():
    exif = Image.Exif()
    exif[306], exif[271], exif[272] = "2020:01:02 03:04:05", "Acme", "One"
    found = record(picture(), "JPEG", exif=exif)
    assert found["captured"] == 1577934245
    assert found["camera"] != 0
    exif[306], exif[272] = "yesterday", "Two"
    other = record(picture(), "JPEG", exif=exif)
    assert other["captured"] == -1
    assert other["camera"] not in (0, found["camera"])
    assert record(picture())["camera"] == 0


@pytest.mark.parametrize("size", [(1, 1), (1, 3000), (3000, 2), (2, 2)])
def test_odd_shapes_are_measured_without_a_warning(size):
    found = record(Image.new("RGB", size, (10, 20, 30)))
    assert np.isfinite([float(found[name]) for name in ("brightness", "sharpness", "entropy")]).all()
