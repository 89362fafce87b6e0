"""The one pass: every image once, whatever happens, and never twice."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import weakref
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from zoo import contents, engine, onepass, weights
from zoo.catalog import card
from zoo.classifier import embed as embed_batch
from zoo.data import Dataset, Sample
from zoo.data.decode import decode
from zoo.errors import OptionError, StorageError
from zoo.features import embed
from zoo.statistics import STATISTICS

LENET = card("lenet5")
LITE = card("efficientnet_lite0")


@pytest.fixture(autouse=True)
def cache_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("ZOO_ENGINE", raising=False)
    monkeypatch.setattr(contents, "_COARSEST_CLOCK", 0)  # the tests' files are a moment old
    return tmp_path / "cache"


def photograph(seed, size=(70, 50)):
    """A smooth picture with some structure, different for each seed."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, size=(5, 7, 3), dtype=np.uint8))
    return coarse.resize(size, Image.Resampling.BICUBIC)


def dataset(folder):
    paths = sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())
    return Dataset(root=folder, samples=tuple(Sample(path=p, label=0) for p in paths), classes=("a",))


@pytest.fixture
def images(tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    for i in range(12):
        photograph(i).save(folder / f"{i:02d}.jpg")
    return folder


def test_a_row_of_features_and_statistics_belongs_to_each_image_in_order(images):
    found = embed(dataset(images), [LENET])
    module = weights.load(LENET)
    for i, sample in enumerate(found.dataset.samples):
        picture = decode((images / sample.path).read_bytes())
        pixels = LENET.preprocess.pixels(picture)
        import torch

        expected = embed_batch(module, LENET.preprocess.normalise(torch.from_numpy(pixels[None].copy())))
        expected = expected.detach().numpy()[0]
        row = found.matrix("lenet5")[i].astype(np.float32)
        assert expected @ row / np.linalg.norm(expected) / np.linalg.norm(row) > engine.AGREEMENT
        assert found.statistics[i]["bytes"] == (images / sample.path).stat().st_size
    assert found.statistics.dtype == STATISTICS
    assert found.matrix("lenet5").dtype == np.float16
    assert found.computed == 12


def test_the_second_run_reads_no_image(images, monkeypatch):
    first = embed(dataset(images), [LENET])

    def refuse(*_):
        raise AssertionError("a file was read")

    monkeypatch.setattr(contents, "read_file", refuse)
    monkeypatch.setattr(weights, "load", refuse)
    second = embed(dataset(images), [LENET])
    np.testing.assert_array_equal(first.matrix("lenet5"), second.matrix("lenet5"))
    np.testing.assert_array_equal(first.statistics, second.statistics)
    assert second.computed == 0


def test_new_images_cost_only_themselves(images):
    embed(dataset(images), [LENET])
    for i in range(100, 103):
        photograph(i).save(images / f"{i}.jpg")
    found = embed(dataset(images), [LENET])
    assert found.computed == 3
    assert len(found.matrix("lenet5")) == 15


def test_a_moved_folder_and_renamed_files_cost_nothing(images, tmp_path):
    first = embed(dataset(images), [LENET])
    shutil.copytree(images, tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "00.jpg").rename(tmp_path / "elsewhere" / "zz.jpg")
    second = embed(dataset(tmp_path / "elsewhere"), [LENET])
    assert second.computed == 0
    np.testing.assert_array_equal(first.matrix("lenet5")[0], second.matrix("lenet5")[-1])


def test_a_file_whose_content_changed_is_looked_at_again(images):
    first = embed(dataset(images), [LENET])
    photograph(99).save(images / "03.jpg")
    second = embed(dataset(images), [LENET])
    assert second.computed == 1
    differs = (first.matrix("lenet5") != second.matrix("lenet5")).any(axis=1)
    assert np.flatnonzero(differs).tolist() == [3]


def test_a_file_changed_a_moment_ago_is_not_remembered_by_its_times(images, monkeypatch):
    monkeypatch.setattr(contents, "_COARSEST_CLOCK", 10**12)
    embed(dataset(images), [LENET])
    file = images / "00.jpg"
    times = file.stat()
    content = bytearray(file.read_bytes())
    replacement = content[:-2] + content[-2:]
    replacement[-20] ^= 1
    file.write_bytes(replacement)  # the same size and, on a coarse clock, the same times
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert embed(dataset(images), [LENET]).computed == 1


def test_copies_of_one_picture_are_looked_at_once(images):
    for i in range(5):
        shutil.copy(images / "00.jpg", images / f"copy{i}.jpg")
    found = embed(dataset(images), [LENET])
    assert found.computed == 12
    assert len(found.dataset) == 17
    rows = found.matrix("lenet5")
    np.testing.assert_array_equal(rows[12:], np.repeat(rows[:1], 5, axis=0))


def test_unusable_files_are_skipped_with_their_reasons_and_the_reasons_are_remembered(images, monkeypatch):
    (images / "03.jpg").write_bytes((images / "03.jpg").read_bytes()[:300])
    (images / "04.jpg").write_bytes(b"")
    (images / "05.jpg").write_text("a letter")
    (images / "06.jpg").unlink()
    (images / "06.jpg").symlink_to(images / "06.jpg")
    found = embed(dataset(images), [LENET])
    gone = Dataset(root=images, samples=tuple(Sample(path=p, label=0) for p in ("00.jpg", "gone.jpg")), classes=("a",))
    reasons = {skipped.path: skipped.reason for skipped in found.dataset.skipped}
    assert reasons["03.jpg"] == "truncated"
    assert reasons["04.jpg"] == "an empty file"
    assert "text" in reasons["05.jpg"]
    assert len(found.dataset) == len(found.matrix("lenet5")) == len(found.statistics) == 8
    assert "not there" in embed(gone, [LENET]).dataset.skipped[0].reason
    monkeypatch.setattr(onepass, "decode_picture", lambda *a, **k: pytest.fail("decoded again"))
    again = embed(dataset(images), [LENET])
    assert {skipped.path: skipped.reason for skipped in again.dataset.skipped} == reasons


def test_nothing_usable_gives_empty_arrays(tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "a.jpg").write_text("no picture")
    found = embed(dataset(tmp_path / "images"), [LENET])
    assert len(found.dataset) == len(found.statistics) == len(found.matrix("lenet5")) == 0


def test_several_backbones_share_one_decode_and_a_later_one_adds_only_its_own(images, monkeypatch):
    decoded = []
    original = onepass.decode_picture
    monkeypatch.setattr(onepass, "decode_picture", lambda *a, **k: decoded.append(1) or original(*a, **k))
    both = embed(dataset(images), [LENET, LITE])
    assert len(decoded) == 12
    assert both.names == ("lenet5", "efficientnet_lite0")
    assert both.matrix("efficientnet_lite0").shape == (12, 1280)
    alone = embed(dataset(images), [LITE])
    assert len(decoded) == 12
    np.testing.assert_array_equal(alone.matrix("efficientnet_lite0"), both.matrix("efficientnet_lite0"))


def test_statistics_come_without_any_backbone(images):
    found = embed(dataset(images), [])
    assert found.statistics["width"].tolist() == [70] * 12


def test_float32_asked_for_by_name_is_kept_apart_and_other_engines_agree_with_it(images, monkeypatch):
    quick = embed(dataset(images), [LITE])
    monkeypatch.setenv("ZOO_ENGINE", "float32")
    exact = embed(dataset(images), [LITE])
    assert exact.computed == 12
    a, b = (found.matrix("efficientnet_lite0").astype(np.float64) for found in (quick, exact))
    cosine = (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)
    assert cosine.min() > engine.AGREEMENT


def test_an_engine_that_does_not_exist_is_an_error_that_names_those_that_do(images, monkeypatch):
    monkeypatch.setenv("ZOO_ENGINE", "warp")
    with pytest.raises(OptionError, match="float32"):
        embed(dataset(images), [LENET])


def test_the_lanes_never_mix_up_images(images):
    """Features computed by many lanes at once are those of one lane."""
    for i in range(200, 260):
        photograph(i, size=(40, 40)).save(images / f"{i}.png")
    many = embed(dataset(images), [LENET]).matrix("lenet5")
    module = weights.load(LENET)
    import torch

    pixels = np.stack([LENET.preprocess.pixels(decode(p.read_bytes())) for p in sorted(images.iterdir())])
    expected = embed_batch(module, LENET.preprocess.normalise(torch.from_numpy(pixels))).detach().numpy()
    np.testing.assert_allclose(many, expected, atol=0.05)


def test_progress_counts_up_to_every_file_that_had_to_be_read(images):
    told = []
    embed(dataset(images), [LENET], progress=lambda stage, done, total: told.append((done, total)))
    assert told[-1] == (12, 12)
    assert [done for done, _ in told] == sorted(done for done, _ in told)


def test_after_ctrl_c_what_was_done_is_stored(images):
    def interrupt(stage, done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        embed(dataset(images), [LENET], progress=interrupt)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("lane")]
    assert embed(dataset(images), [LENET]).computed < 12


def test_an_error_in_a_lane_stops_the_pass_and_is_raised(images, monkeypatch):
    def full(*_):
        raise StorageError("The disk is full.", remedy="Free some space.")

    monkeypatch.setattr(onepass, "measure", full)
    with pytest.raises(StorageError, match="full"):
        embed(dataset(images), [LENET])


def test_a_large_picture_is_decoded_though_it_exceeds_what_lanes_decode_side_by_side(images, monkeypatch):
    monkeypatch.setattr(onepass, "_LARGE", 100)
    found = embed(dataset(images), [LENET])
    assert len(found.dataset) == 12


def test_each_lane_holds_one_decoded_picture_at_a_time(images, monkeypatch):
    monkeypatch.setattr(onepass.Pass, "_lanes", lambda self: 1)
    monkeypatch.setattr(onepass.Pass, "_chunks", lambda self, missing: [missing])
    original, decoded, alive = onepass.decode_picture, [], []

    def noting(*arguments, **options):
        alive.append(sum(picture() is not None for picture in decoded))
        picture = original(*arguments, **options)
        decoded.append(weakref.ref(picture))
        return picture

    monkeypatch.setattr(onepass, "decode_picture", noting)
    embed(dataset(images), [LENET])
    assert alive == [0] * 12


def test_large_tables_are_files_and_read_the_same(images, monkeypatch):
    from zoo import features

    small = embed(dataset(images), [LENET])
    monkeypatch.setattr(features, "_IN_MEMORY", 10)
    large = embed(dataset(images), [LENET])
    assert isinstance(large.statistics, np.memmap)
    np.testing.assert_array_equal(large.statistics, small.statistics)
    mapped = large.matrix("lenet5")
    assert isinstance(mapped, np.memmap) or isinstance(mapped.base, np.memmap)
    monkeypatch.undo()
    np.testing.assert_array_equal(mapped, small.matrix("lenet5"))


RANK = """
import sys; sys.path.insert(0, {path!r})
import numpy as np
from pathlib import Path
from tests.zoo.test_features import LENET, dataset
from zoo.features import embed
found = embed(dataset(Path({folder!r})), [LENET])
np.save({out!r} + sys.argv[1], found.matrix("lenet5"))
print(found.computed)
"""


@pytest.mark.slow
def test_two_processes_share_the_images_and_both_return_what_one_would(images, tmp_path, monkeypatch):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    code = RANK.format(path=str(Path(__file__).parents[2]), folder=str(images), out=str(tmp_path / "rank"))
    processes = []
    for rank in range(2):
        variables = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": 2, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
        environment = {**os.environ, **{k: str(v) for k, v in variables.items()}, "OMP_NUM_THREADS": "1"}
        command = [sys.executable, "-c", code, str(rank)]
        processes.append(subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True))
    computed = [int(process.communicate(timeout=120)[0].split()[-1]) for process in processes]
    assert computed == [6, 6]
    one = embed(dataset(images), [LENET])
    assert one.computed == 0
    for rank in range(2):
        np.testing.assert_array_equal(np.load(tmp_path / f"rank{rank}.npy"), one.matrix("lenet5"))
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "of one process"))
    alone = embed(dataset(images), [LENET])
    assert alone.computed == 12
    np.testing.assert_allclose(alone.matrix("lenet5"), one.matrix("lenet5"), rtol=2e-3)  # the last bit may differ


KILLED = """
import sys; sys.path.insert(0, {path!r})
from pathlib import Path
from tests.zoo.test_features import LENET, dataset
from zoo import store
store._FLUSH_SECONDS = 0.01
from zoo.features import embed
embed(dataset(Path({folder!r})), [LENET], progress=lambda *a: print(a[1], flush=True))
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="there is no kill -9")
def test_a_pass_killed_in_the_middle_goes_on_where_it_was(images):
    for i in range(300, 450):
        photograph(i, size=(700, 500)).save(images / f"{i}.jpg")
    code = KILLED.format(path=str(Path(__file__).parents[2]), folder=str(images))
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    for line in process.stdout:
        if int(line) > 40:
            break
    process.kill()
    process.wait()
    process.stdout.close()
    found = embed(dataset(images), [LENET])
    assert 0 < found.computed < 150
    assert len(found.matrix("lenet5")) == 162
