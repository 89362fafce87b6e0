from __future__ import annotations

import contextlib
import pickle
import struct
import sys
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, features

from tests.zoo.data.conftest import encoded, picture
from zoo.data.decode import UnusableImage, decode, decode_picture

_FORMATS = ["JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF", "PPM", "JPEG2000"] + (
    ["AVIF"] if features.check("avif") else []
)


def reason(data: bytes, **options: int) -> str:
    with pytest.raises(UnusableImage) as caught:
        decode(data, **options)
    return caught.value.reason


def gap(one: Image.Image, other: Image.Image) -> float:
    return float(np.abs(np.asarray(one, dtype=float) - np.asarray(other, dtype=float)).mean())


@pytest.mark.parametrize("kind", _FORMATS)
def test_every_format_gives_the_picture_back(kind: str) -> None:
    got = decode_picture(encoded(picture(40, 30), kind))
    assert (got.format, got.image.mode, got.image.size) == (kind, "RGB", (40, 30))
    assert gap(got.image, picture(40, 30)) < 6


def test_an_empty_file_is_unusable() -> None:
    assert reason(b"") == "an empty file"


def test_a_file_of_zeros_is_unusable() -> None:
    assert reason(bytes(1000)) == "a file of zeros"


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"This is no picture at all, whatever it is called.\n", "not a picture but text"),
        ("Ein Text mit Umlauten: äöü".encode(), "not a picture but text"),
        (b"<!DOCTYPE html><html><body>404</body></html>", "not a picture but a web page"),
        (b'<?xml version="1.0"?><annotation/>', "not a picture but XML"),
        (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3", "not a picture but a PDF"),
        (b"PK\x03\x04\x14\x00\x00\x00", "not a picture but an archive"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n", "not a picture but text"),
        (b"\x01\x02\x03\x04\x05", "not a picture in a format that can be read"),
        (b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic", "HEIC is not supported here: convert it to JPEG or PNG"),
    ],
)
def test_what_is_no_picture_is_named(data: bytes, expected: str) -> None:
    assert reason(data) == expected


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP", "PPM", "JPEG2000"])
def test_a_truncated_file_is_unusable(kind: str) -> None:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8))
    data = encoded(noise, kind)
    assert reason(data[: len(data) // 2]) in {"truncated", "damaged"}


def test_a_truncated_jpeg_is_called_truncated_also_when_it_is_scaled_while_decoding() -> None:
    data = encoded(picture(800, 600), "JPEG")
    assert reason(data[: len(data) // 2]) == "truncated"
    assert reason(data[: len(data) // 2], short_side=100) == "truncated"


def test_a_header_alone_is_unusable() -> None:
    for kind in _FORMATS:
        assert reason(encoded(picture(), kind)[:14])


def test_sixteen_bit_grey_is_scaled_and_not_clipped() -> None:
    ramp = np.linspace(0, 65535, 256).astype(np.uint16)[None, :].repeat(4, axis=0)
    for kind in ("PNG", "TIFF"):
        got = np.asarray(decode(encoded(Image.fromarray(ramp), kind)))
        assert np.array_equal(got[0, :, 0], np.arange(256)), kind
        assert np.array_equal(got[..., 0], got[..., 2])


def test_sixteen_bit_pgm_is_scaled() -> None:
    values = np.array([0, 257, 32896, 65535], dtype=">u2")
    assert np.asarray(decode(b"P5 4 1 65535\n" + values.tobytes()))[0, :, 0].tolist() == [0, 1, 128, 255]


def test_sixteen_bit_colour_is_scaled() -> None:
    row = b"\x00" + struct.pack(">6H", 0, 32896, 65535, 65535, 257, 0)
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", 2, 1, 16, 2, 0, 0, 0)), (b"IDAT", zlib.compress(row)), (b"IEND", b"")]
    data = b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(d)) + t + d + struct.pack(">I", zlib.crc32(t + d)) for t, d in chunks
    )
    assert np.asarray(decode(data)).tolist() == [[[0, 128, 255], [255, 1, 0]]]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.array([[0.0, 0.5, 1.0]], dtype=np.float32), [0, 128, 255]),
        (np.array([[-10.0, np.nan, 10.0]], dtype=np.float32), [0, 128, 255]),
        (np.array([[0, 32896, 65535]], dtype=np.int32), [0, 128, 255]),
        (np.array([[0, 5_000_000, 10_000_000]], dtype=np.int32), [0, 128, 255]),
        (np.array([[7.0, 7.0]], dtype=np.float32), [0, 0]),
    ],
)
def test_thirty_two_bits_are_scaled(values: np.ndarray, expected: list[int]) -> None:
    assert np.asarray(decode(encoded(Image.fromarray(values), "TIFF")))[0, :, 0].tolist() == expected


def test_transparency_is_laid_on_white() -> None:
    clear = Image.new("RGBA", (4, 4), (200, 0, 0, 0))
    half = Image.new("RGBA", (4, 4), (0, 0, 0, 128))
    assert decode(encoded(clear)).getpixel((0, 0)) == (255, 255, 255)
    assert decode(encoded(half)).getpixel((0, 0)) == (127, 127, 127)
    assert decode_picture(encoded(clear)).transparent
    assert not decode_picture(encoded(picture())).transparent


def test_grey_with_transparency_is_laid_on_white() -> None:
    assert decode(encoded(Image.new("LA", (4, 4), (0, 0)))).getpixel((0, 0)) == (255, 255, 255)


def test_a_transparent_palette_and_a_transparent_colour_are_laid_on_white() -> None:
    palette = Image.new("P", (4, 4), 1)
    palette.putpalette([10, 20, 30, 40, 50, 60])
    assert decode(encoded(palette)).getpixel((0, 0)) == (40, 50, 60)
    assert decode(encoded(palette, transparency=1)).getpixel((0, 0)) == (255, 255, 255)
    assert decode(encoded(palette, transparency=b"\xff\x00")).getpixel((0, 0)) == (255, 255, 255)
    keyed = Image.new("RGB", (4, 4), (1, 2, 3))
    assert decode(encoded(keyed, transparency=(1, 2, 3))).getpixel((0, 0)) == (255, 255, 255)


def test_black_and_white_is_read() -> None:
    image = Image.new("1", (9, 9), 0)
    image.putpixel((3, 3), 1)
    for kind in ("PNG", "TIFF", "PPM"):
        got = decode(encoded(image, kind))
        assert (got.getpixel((3, 3)), got.getpixel((0, 0))) == ((255, 255, 255), (0, 0, 0))


def test_cmyk_is_converted() -> None:
    for kind in ("JPEG", "TIFF"):
        got = decode_picture(encoded(Image.new("CMYK", (16, 16), (0, 255, 255, 0)), kind))
        assert got.mode == "CMYK"
        assert gap(got.image, Image.new("RGB", (16, 16), (255, 0, 0))) < 6


def test_other_colour_spaces_are_converted() -> None:
    """L*a*b* of lightness 50.2 without colour is the grey 119 in sRGB."""
    got = decode(encoded(Image.new("LAB", (8, 8), (128, 128, 128)), "TIFF"))
    assert gap(got, Image.new("RGB", (8, 8), (119, 119, 119))) <= 1
    assert gap(decode(encoded(picture().convert("YCbCr"), "TIFF")), picture()) < 3


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "TIFF"])
def test_the_first_frame_of_an_animation_is_taken(kind: str) -> None:
    frames = [Image.new("RGB", (16, 16), colour) for colour in ((250, 0, 0), (0, 250, 0), (0, 0, 250))]
    data = encoded(frames[0], kind, save_all=True, append_images=frames[1:])
    assert gap(decode(data), frames[0]) < 8


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP"])
def test_exif_rotation_is_undone(kind: str, orientation: int) -> None:
    """Reference: the picture is stored turned as the EXIF standard says, so that turning it back gives the original."""
    turns = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    upright = picture(48, 32)
    stored = upright.transpose(turns[orientation]) if orientation > 1 else upright
    exif = Image.Exif()
    exif[0x0112] = orientation
    got = decode_picture(encoded(stored, kind, exif=exif))
    assert got.image.size == (48, 32)
    assert (got.width, got.height) == (48, 32)
    assert gap(got.image, upright) < 5


def test_damaged_exif_does_not_matter() -> None:
    for exif in (
        b"Exif\x00\x00garbage",
        b"Exif\x00\x00II*\x00\xff\xff\xff\xff",
        b"Exif\x00\x00MM\x00*\x00\x00\x00\x08\xff\xff" + b"\x12" * 30,
    ):
        assert decode(encoded(picture(), "JPEG", exif=exif)).size == (24, 16)


def test_exif_that_cannot_be_read_at_all_does_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: object) -> None:
        raise struct.error

    monkeypatch.setattr(Image.Image, "getexif", fail)
    assert decode_picture(encoded(picture(), "BMP")).exif == {}


def test_too_little_memory_is_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_args: object) -> None:
        raise MemoryError

    monkeypatch.setattr(Image.Image, "convert", fail)
    assert reason(encoded(Image.new("L", (4, 4)))) == "too large for the memory"


def test_one_pixel_is_a_picture() -> None:
    for kind in _FORMATS:
        assert decode(encoded(Image.new("RGB", (1, 1), (9, 9, 9)), kind)).size == (1, 1)


def test_a_decompression_bomb_is_refused_before_it_is_decoded() -> None:
    header = struct.pack(">IIBBBBB", 20_000, 20_000, 8, 2, 0, 0, 0)
    bomb = b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(d)) + t + d + struct.pack(">I", zlib.crc32(t + d))
        for t, d in [(b"IHDR", header), (b"IDAT", zlib.compress(bytes(1000)))]
    )
    assert reason(bomb) == "too large: 20000 x 20000 pixels"
    assert reason(bomb, short_side=224) == "too large: 20000 x 20000 pixels"


def test_the_limit_is_in_pixels() -> None:
    data = encoded(picture(100, 100))
    assert reason(data, max_pixels=9_999) == "too large: 100 x 100 pixels"
    assert decode(data, max_pixels=10_000).size == (100, 100)


def test_a_large_jpeg_is_read_where_scaling_makes_it_cheap() -> None:
    data = encoded(Image.new("L", (1600, 1600), 77), "JPEG")
    assert reason(data, max_pixels=300_000) == "too large: 1600 x 1600 pixels"
    got = decode_picture(data, short_side=224, max_pixels=300_000)
    assert got.image.size == (400, 400)
    assert (got.width, got.height) == (1600, 1600)
    assert reason(data, short_side=224, max_pixels=200_000) == "too large: 1600 x 1600 pixels"


def test_a_large_progressive_jpeg_is_refused_as_it_needs_all_its_memory_at_once() -> None:
    data = encoded(Image.new("L", (1600, 1600), 77), "JPEG", progressive=True)
    assert reason(data, short_side=224, max_pixels=300_000) == "too large: 1600 x 1600 pixels"


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak memory as Linux counts it")
def test_a_jpeg_of_400_megapixels_is_read_in_bounded_memory(tmp_path: Path) -> None:
    import subprocess

    tile = picture(1000, 1000)
    path = tmp_path / "huge.jpg"
    huge = Image.new("L", (20_000, 20_000))
    huge.paste(tile.convert("L"), (0, 0))
    huge.save(path, quality=40)
    code = (
        "import resource, sys, pathlib; from zoo.data.decode import decode;"
        "base = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss;"
        "image = decode(pathlib.Path(sys.argv[1]).read_bytes(), short_side=224);"
        "print(image.size[0], (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - base) // 1024)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)
    side, grown = map(int, done.stdout.split())
    assert side == 2500
    assert grown < 150  # MiB; decoded at full size it is 400 as grey, 1600 as RGB


@pytest.mark.parametrize(
    ("size", "short_side", "expected"),
    [
        ((800, 600), None, (800, 600)),
        ((800, 600), 300, (400, 300)),
        ((800, 600), 301, (800, 600)),
        ((800, 600), 150, (200, 150)),
        ((801, 601), 150, (201, 151)),
        ((1600, 1200), 50, (200, 150)),
        ((100, 80), 224, (100, 80)),
    ],
)
def test_a_jpeg_is_scaled_while_decoding_never_below_what_is_needed(
    size: tuple[int, int], short_side: int | None, expected: tuple[int, int]
) -> None:
    assert decode(encoded(picture(*size), "JPEG"), short_side=short_side).size == expected


def test_a_scaled_jpeg_looks_like_the_resized_one() -> None:
    data = encoded(picture(800, 600), "JPEG", quality=95)
    scaled = decode(data, short_side=150)
    assert gap(scaled, decode(data).resize(scaled.size, Image.Resampling.BOX)) < 2


def test_other_formats_are_decoded_at_full_size() -> None:
    assert decode(encoded(picture(800, 600), "PNG"), short_side=100).size == (800, 600)


def test_facts_of_the_file_are_told() -> None:
    exif = Image.Exif()
    exif[0x010F] = "Maker"
    exif.get_ifd(0x8769)[0x9003] = "2024:05:06 07:08:09"
    got = decode_picture(encoded(picture(64, 48), "JPEG", exif=exif, quality=75))
    assert (got.format, got.mode, got.width, got.height, got.orientation) == ("JPEG", "RGB", 64, 48, 0)
    assert got.exif[0x010F] == "Maker"
    assert got.exif[0x9003] == "2024:05:06 07:08:09"
    assert all(len(table) == 64 for table in got.quantization.values())
    assert got.quantization


def test_pillow_does_not_warn(recwarn: pytest.WarningsRecorder, capfd: pytest.CaptureFixture[str]) -> None:
    warnings.simplefilter("always")
    palette = Image.new("P", (4, 4), 1)
    palette.putpalette([10, 20, 30, 40, 50, 60])
    decode(encoded(palette, transparency=b"\xff\x00"))
    decode(
        encoded(
            picture(),
            "JPEG",
            exif=b"Exif\x00\x00II*\x00\x08\x00\x00\x00\x01\x00\x12\x01\x03\x00\xff\xff\xff\x00\x00\x00\x00\x00",
        )
    )
    tiff = bytearray(encoded(picture(), "TIFF"))
    for cut in range(len(tiff) - 150, len(tiff), 7):
        damaged = bytes(tiff[:cut]) + b"\xff" * 40
        with contextlib.suppress(UnusableImage):
            decode(damaged)
    assert [str(w.message) for w in recwarn] == []
    assert capfd.readouterr() == ("", "")


@pytest.mark.skipif(sys.platform != "linux", reason="libtiff is found where it is linked dynamically")
def test_libtiff_does_not_write_to_the_screen(capfd: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(0)
    whole, refused = encoded(picture(64, 64), "TIFF", compression="tiff_lzw"), 0
    for _ in range(100):
        damaged = bytearray(whole)
        for place in rng.integers(8, len(whole), 5):
            damaged[place] = rng.integers(256)
        try:
            decode(bytes(damaged))
        except UnusableImage:
            refused += 1
    assert refused > 20
    assert capfd.readouterr() == ("", "")


def test_warnings_of_others_are_still_shown() -> None:
    before = list(warnings.filters)
    decode(encoded(picture()))
    assert list(warnings.filters) == before
    with pytest.warns(UserWarning, match="mine"):
        warnings.warn("mine", stacklevel=1)


def test_many_threads_decode_at_once_without_a_trace() -> None:
    before = list(warnings.filters)
    data = [encoded(picture(60, 40, seed=i), "JPEG") for i in range(4)]

    def work() -> int:
        for i in range(40):
            decode(data[i % 4])
            with pytest.raises(UnusableImage):
                decode(data[i % 4][:200])
        return 40

    with ThreadPoolExecutor(8) as pool:
        assert [job.result() for job in [pool.submit(work) for _ in range(8)]] == [40] * 8
    assert list(warnings.filters) == before


def test_the_process_wide_settings_of_pillow_are_left_alone() -> None:
    from PIL import ImageFile

    before = (Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES)
    decode(encoded(picture()))
    assert before == (Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES)


def test_the_error_travels_between_processes() -> None:
    error = pickle.loads(pickle.dumps(UnusableImage("truncated")))
    assert (error.reason, str(error)) == ("truncated", "The picture cannot be used: truncated.")


_SEEDS = [encoded(picture(16, 12), kind) for kind in _FORMATS] + [
    encoded(Image.new("LA", (6, 6)), "PNG"),
    encoded(Image.fromarray(np.zeros((6, 6), np.uint16)), "TIFF"),
    encoded(picture(16, 12), "TIFF", compression="tiff_lzw"),
    encoded(picture(16, 12), "JPEG", progressive=True),
]


@settings(max_examples=300, deadline=None)
@given(
    seed=st.sampled_from(_SEEDS),
    edits=st.lists(st.tuples(st.integers(0, 4000), st.integers(0, 255)), max_size=12),
    cut=st.integers(0, 400),
    short_side=st.sampled_from([None, 1, 8]),
)
def test_whatever_the_bytes_there_is_a_picture_or_a_reason(
    seed: bytes, edits: list[tuple[int, int]], cut: int, short_side: int | None
) -> None:
    data = bytearray(seed)
    for place, value in edits:
        data[place % len(data)] = value
    with contextlib.suppress(UnusableImage):
        image = decode(bytes(data[: len(data) - cut % len(data)]), short_side=short_side, max_pixels=1_000_000)
        assert image.mode == "RGB"
        assert image.size > (0, 0)


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=200))
def test_random_bytes_are_refused_with_a_reason(data: bytes) -> None:
    assert reason(data)
