from __future__ import annotations

import dataclasses
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from explain import Badge, Classifier, Deletion, ExplainSettings, Explanations, explain
from explain.claims import Effect, Level, Shortcut
from explain.outputs import class_scales
from explain.report import report_html
from tests.explain.conftest import tiny
from zoo.errors import DataError, OptionError
from zoo.preprocess import Preprocess

QUICK = ExplainSettings(calibration=4, deletion=Deletion(patches=5, steps=4), shortcuts=False)
EVIL = '<script>alert(1)</script>"><img src=x onerror=alert(2)>'


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    return Classifier(
        module=tiny("test_resnet", num_classes=2),
        preprocess=Preprocess(size=(64, 64)),
        classes=("dark", EVIL),
        name=EVIL,
    )


def test_every_output_is_there_and_agrees(classifier: Classifier, pictures: list[object], tmp_path: Path) -> None:
    found = explain(classifier, pictures[:6], method="hirescam", out=tmp_path / "out", settings=QUICK)
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert manifest["schema"] == "zoovet.explain/1"
    assert len(found) == len(manifest["images"]) == 6
    for item, entry in zip(found, manifest["images"], strict=True):
        saved = np.load(tmp_path / "out" / entry["map"], allow_pickle=False)
        np.testing.assert_array_equal(saved, item.map)
        assert saved.dtype == np.float32
        assert saved.shape == (64, 64)
        with Image.open(tmp_path / "out" / entry["overlay"]) as shown:
            assert shown.width == 256  # small inputs are enlarged by a whole number
        assert entry["badge"] == item.score.badge.value
        assert item.score.badge in set(Badge)
    assert manifest["method"] == "hirescam"
    assert manifest["images"][0]["layer"]
    assert set(manifest["versions"]) >= {"torch", "captum"}
    assert json.loads((tmp_path / "out" / "shortcuts.json").read_text())["schema"] == "zoovet.shortcuts/1"
    assert {p.name for p in (tmp_path / "out").iterdir()} == {
        "maps", "overlay", "manifest.json", "shortcuts.json", "report.html"
    }  # fmt: skip


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attributes)))


def test_names_are_escaped_and_the_report_fetches_nothing(
    classifier: Classifier, pictures: list[tuple[Image.Image, int]], tmp_path: Path
) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    for k, (image, _) in enumerate(pictures[:3]):
        image.save(folder / f"{k}<b onmouseover=alert(3)>.png")
    explain(classifier, folder, method="hirescam", out=tmp_path / "out", settings=QUICK)
    text = (tmp_path / "out" / "report.html").read_text()
    assert "<script>alert" not in text
    tags = Tags()
    tags.feed(text)
    assert sum(tag == "script" for tag, _ in tags.found) == 1
    assert not any(name.startswith("on") for _, attributes in tags.found for name in attributes)
    sources = [a[key] or "" for _, a in tags.found for key in ("src", "href") if key in a]
    assert sources
    assert all(source.startswith("data:image/") for source in sources)
    assert not re.search(r"url\(|@import", text)


@pytest.mark.parametrize(("tested", "said"), [(False, "None could be tested"), (True, "None is confirmed")])
def test_the_report_says_whether_suspected_places_could_be_tested_at_all(
    classifier: Classifier, pictures: list[object], *, tested: bool, said: str
) -> None:
    found = explain(classifier, pictures[:2], method="hirescam", settings=QUICK)
    effect = Effect(effect=0.1, control=0.1, interval=(-0.1, 0.1), sample_size=9) if tested else None
    level = Level.NOT_CONFIRMED if tested else Level.SUSPECT
    suspect = Shortcut(label=0, region="rim", level=level, relevance=0.4, area=0.3, erased=effect, pasted=effect)
    page = report_html(dataclasses.replace(found, shortcuts=(suspect,)), class_scales(found))
    assert re.findall("None [a-z ]+", page) == [said]


def test_the_same_seed_gives_the_same_bytes(classifier: Classifier, pictures: list[object], tmp_path: Path) -> None:
    for name in ("a", "b"):
        explain(classifier, pictures[:4], method="marginal-cam", out=tmp_path / name, seed=3, settings=QUICK)
    files = sorted(p.relative_to(tmp_path / "a") for p in (tmp_path / "a").rglob("*") if p.is_file())
    assert len(files) == 2 * 4 + 3
    for file in files:
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


def test_auto_measures_its_candidates_and_keeps_the_best_with_its_evidence(
    classifier: Classifier, pictures: list[object]
) -> None:
    found = explain(classifier, pictures[:4], settings=QUICK)
    measured = [t for t in found.choice.trials if t.images == 4]
    assert len(measured) >= 2
    assert found.choice.method == max(measured, key=lambda t: t.gain).method
    assert {a.question for a in found.choice.gate.answers} >= {"above-null", "changes-with-the-model"}


def test_a_file_that_is_no_picture_is_skipped_with_its_reason(
    classifier: Classifier, pictures: list[tuple[Image.Image, int]], tmp_path: Path
) -> None:
    pictures[0][0].save(tmp_path / "good.png")
    pictures[1][0].convert("L").save(tmp_path / "grey.png")
    pictures[2][0].convert("RGBA").save(tmp_path / "clear.png")
    pictures[3][0].convert("CMYK").save(tmp_path / "print.jpg")
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 no more")
    (tmp_path / "text.png").write_text("hello")
    found = explain(classifier, tmp_path, method="hirescam", settings=QUICK)
    assert [e.picture.name for e in found] == ["clear.png", "good.png", "grey.png", "print.jpg"]
    assert [s.path for s in found.skipped] == ["broken.jpg", "text.png"]
    assert all(s.reason for s in found.skipped)


def test_a_huge_picture_is_refused_or_shrunk_and_never_held_whole(classifier: Classifier, tmp_path: Path) -> None:
    Image.new("L", (20_000, 12_000)).save(tmp_path / "huge.png")
    Image.new("L", (90, 70)).save(tmp_path / "small.png")
    found = explain(classifier, tmp_path, method="hirescam", settings=QUICK)
    assert [s.path for s in found.skipped] == ["huge.png"]
    assert "large" in found.skipped[0].reason


def test_one_picture_can_be_explained(classifier: Classifier, pictures: list[tuple[Image.Image, int]]) -> None:
    found = explain(classifier, [pictures[0][0]], method="hirescam", settings=QUICK)
    assert len(found) == 1
    assert found[0].correct is None


def test_contrast_explains_the_difference_of_two_classes(classifier: Classifier, pictures: list[object]) -> None:
    maps = {
        target: explain(classifier, pictures[:4], method="hirescam", target=target, settings=QUICK)
        for target in ("contrast", "0", "1")
    }
    for k in range(4):
        difference = maps["0"][k].map - maps["1"][k].map
        sign = 1 if maps["0"][k].predicted == 0 else -1
        np.testing.assert_allclose(maps["contrast"][k].map, sign * difference, atol=1e-6, rtol=1e-4)
        assert "rather than" in maps["contrast"][k].target


def test_wrong_arguments_are_told_with_a_remedy(classifier: Classifier, pictures: list[object], tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="marginal-cam"):
        explain(classifier, pictures, method="marginal-cat")
    with pytest.raises(OptionError, match="no class"):
        explain(classifier, pictures, target="giraffe", settings=QUICK)
    with pytest.raises(OptionError, match="true class"):
        explain(classifier, [pictures[0][0]], target="true", settings=QUICK)
    with pytest.raises(OptionError, match="No images"):
        explain(classifier)
    with pytest.raises(DataError, match="There is no file"):
        explain(classifier, tmp_path / "absent")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").write_text("")
    with pytest.raises(OptionError, match="is not empty"):
        explain(classifier, pictures, out=tmp_path / "full")


def test_a_timm_model_alone_brings_its_own_preprocessing(pictures: list[tuple[Image.Image, int]]) -> None:
    model = tiny("test_vit", num_classes=3).train()
    found = explain(model, [p for p, _ in pictures[:2]], method="legrad", settings=QUICK)
    assert found[0].map.shape == (160, 160)
    assert model.training
    assert isinstance(found, Explanations)


def test_labels_come_from_folders_and_shortcuts_are_searched(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for k in range(20):
        array = rng.integers(0, 100, (64, 64, 3), dtype=np.uint8)
        folder = tmp_path / ("a" if k % 2 else "b")
        folder.mkdir(exist_ok=True)
        Image.fromarray(array).save(folder / f"{k}.png")
    torch.manual_seed(0)
    classifier = Classifier(
        module=tiny("test_resnet", num_classes=2), preprocess=Preprocess(size=(64, 64)), classes=("a", "b")
    )
    settings = ExplainSettings(calibration=4, deletion=Deletion(patches=5, steps=4))
    found = explain(classifier, tmp_path, method="hirescam", settings=settings)
    assert [e.picture.label for e in found] == [0] * 10 + [1] * 10
    assert all(0 <= k < 20 for s in found.shortcuts for k in s.examples)
    assert found.clusters
