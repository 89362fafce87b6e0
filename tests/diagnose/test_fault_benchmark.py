"""The fault benchmark: its registry is whole, its faults do what they say, its reporter counts rightly."""

import json
from collections import Counter
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from benchmarks.faults import calibrate, rivals, scoring
from benchmarks.faults.drawing import plot
from benchmarks.faults.families import DataFault
from benchmarks.faults.handed import HEALTHY, train
from benchmarks.faults.registry import CODE_FAULTS, DATA_FAULTS, HANDED_FAULTS, SETS, cases, half_of, planted, source_of
from benchmarks.faults.report import figures, matrix, table
from benchmarks.faults.run import VALIDATION, described, doubled, pending, read_rows, spoilt
from benchmarks.faults.truth import cost, wrong_labels
from benchmarks.faults.worlds import World, world
from diagnose.check import ALGORITHM_CHECKS, DATA_CHECKS

ALL = list(cases())
NEVER_A_CAUSE = {
    "domain-gap",
    "overfitting",
}  # a remark on every verdict; and one that is no edit of code but too few pictures

FROM_OTHER_SETS = {"strangers"}  # real pictures, which a fresh clone has not


@pytest.fixture(scope="module")
def digits() -> World:
    return world("digits", 3, train=80, validation=40)


def test_every_case_has_a_name_of_its_own():
    assert max(Counter(case.name for case in ALL).values()) == 1


def test_there_are_at_least_250_cases_and_50_healthy_ones():
    assert len(ALL) >= 250
    assert sum(case.kind == "healthy" for case in ALL) >= 50


def test_no_family_and_no_data_set_is_in_both_halves():
    assert not set(SETS["dev"]) & set(SETS["report"])
    for case in ALL:
        assert case.source in SETS[case.half]
        for family in filter(None, (case.data, case.mistake)):
            assert half_of(family) == case.half


def test_every_cause_that_a_check_may_name_is_planted_somewhere():
    planted_causes = {cause for fault in (*DATA_FAULTS, *CODE_FAULTS, *HANDED_FAULTS) for cause in fault.causes}
    registries = (DATA_CHECKS, ALGORITHM_CHECKS)
    nameable = {cause for registry in registries for check in registry.values() for cause in check.causes}
    assert nameable - planted_causes <= NEVER_A_CAUSE


def test_every_fault_of_code_has_a_place_in_one_of_the_healthy_files_and_still_compiles():
    for fault in CODE_FAULTS:
        for step in range(len(fault.edits)):
            texts = [planted(source_of(base), fault, step) for base in ("base", "photographs")]
            found = [text for text in texts if text is not None]
            assert found, fault.name
            for text in found:
                compile(text, fault.name, "exec")


@pytest.mark.parametrize(
    "fault", [f for f in DATA_FAULTS if f.name not in FROM_OTHER_SETS], ids=lambda fault: fault.name
)
def test_a_fault_of_the_data_changes_the_world_the_same_way_each_time(fault: DataFault, digits: World):
    first, second = (fault.plant(digits, fault.severities[-1], np.random.default_rng(1)) for _ in range(2))
    assert first == second
    assert first != digits
    assert {picture.label for picture in first.pictures} <= set(range(len(first.classes)))


def test_uniform_noise_is_as_frequent_as_it_says(digits: World):
    fault = next(fault for fault in DATA_FAULTS if fault.name == "noise-uniform")
    assert wrong_labels(fault.plant(digits, 0.25, np.random.default_rng(0))) == (0.25, 0.25)
    assert wrong_labels(digits) == (0, 0)


def test_labels_of_pictures_that_show_nothing_are_neither_right_nor_wrong(digits: World):
    blank = next(fault for fault in DATA_FAULTS if fault.name == "blank-pages")
    assert wrong_labels(blank.plant(digits, 0.1, np.random.default_rng(0))) == (0, 0.1)


def test_a_doubled_world_has_twice_the_training_pictures_of_a_class_and_none_that_are_judged():
    case = next(c for c in ALL if c.data and c.data.name == "few-pictures" and c.source == "digits")
    few = spoilt(case, world("digits", case.seed, train=case.train, validation=VALIDATION))
    twice = doubled(case, few)
    counts = [Counter(p.label for p in w.pictures if p.split == "train") for w in (few, twice)]
    assert counts[1] == {label: 2 * count for label, count in counts[0].items()}
    learnt = {p.name for p in twice.pictures}
    assert not learnt & {p.name for p in twice.fresh}
    assert [p for p in twice.pictures if p.split == "val"] == [p for p in few.pictures if p.split == "val"]


def test_a_world_is_written_as_a_folder_of_classes(digits: World, tmp_path):
    digits.write(tmp_path)
    assert len(list(tmp_path.glob("train/*/*.png"))) == 80
    assert len(list(tmp_path.glob("val/*/*.png"))) == 40


def row(kind: str, verdict: str, *causes: str, cost: float = 0.2, theirs: float | None = None, **others) -> dict:
    """A row as the runner writes it."""
    case = next(
        case for case in ALL if case.kind == kind and (kind != "healthy" or (theirs is None) == (not case.file))
    )
    controls = {"reference": [0.8, [0.7, 0.9]]}
    if theirs is not None:
        controls |= {"theirs": [theirs, [0.0, 1.0]], "known-good": [0.9, [0.8, 1.0]]}
    named = [{"name": name, "side": "data", "points": None, "rate": None} for name in causes]
    said = {"verdict": verdict, "strength": "none", "causes": named, "remarks": [], "controls": controls, "yours": None}
    truth = {"cost": cost, "learning": [cost, 0.01], "measuring": 0.0, "fresh": 0.75, "noise": [0.0, 0.0], "points": {}}
    return {**described(case), **truth, "said": said, "seconds": 6.0, **others}


def test_a_right_verdict_with_the_cause_first_counts_as_both():
    fault = next(case for case in ALL if case.kind == "data").data
    [scored] = scoring.score([row("data", "data", "other", fault.causes[0])])
    assert (scored.expected, scored.right, scored.wrong, scored.rank) == ("data", True, False, 2)


def test_a_fault_under_three_points_is_a_remark():
    [scored] = scoring.score([row("data", "data", cost=0.02)])
    assert scored.expected == "remark"


def test_undetermined_is_neither_right_nor_wrong():
    [scored] = scoring.score([row("data", "undetermined")])
    assert (scored.right, scored.wrong) == (False, False)


def test_code_that_loses_nothing_beside_its_healthy_twin_is_a_remark():
    case = next(case for case in ALL if case.kind == "algorithm" and case.code and case.code.measured)
    twin = {"source": case.source, "seed": case.seed, "file": case.file}
    rows = [row("healthy", "nothing", theirs=0.9, **twin), row("algorithm", "nothing", theirs=0.88)]
    assert scoring.score(rows)[1].expected == "remark"
    rows[1] = row("algorithm", "algorithm", theirs=0.6)
    assert scoring.score(rows)[1].expected == "algorithm"


def test_a_sound_file_far_under_the_known_good_recipe_is_rightly_called_the_algorithm():
    [scored] = scoring.score([row("healthy", "algorithm", theirs=0.7)])
    assert scored.expected == "algorithm"


def test_the_table_counts_false_alarms_and_accuracy():
    rows = [row("healthy", "nothing"), row("healthy", "data"), row("data", "data"), row("data", "nothing")]
    lines = list(table(scoring.score(rows), 0.5))
    assert "| false alarm on a healthy case | 50 % | 2 |" in lines
    assert "| verdict right, undetermined counted as wrong | 50 % | 4 |" in lines


def test_the_confusion_matrix_has_a_row_for_each_right_verdict():
    lines = list(matrix(scoring.score([row("data", "nothing"), row("healthy", "nothing")])))
    assert "| data | 0 | 0 | 0 | 1 | 0 |" in lines
    assert "| nothing | 0 | 0 | 0 | 1 | 0 |" in lines


def test_intervals_are_counted_as_holding_the_truth_or_not():
    rates = ([0.1, 0.1], [0.3, 0.3], [0.0, 0.1], [0.3, 0.4])
    rows = [row("data", "data", "label-noise", noise=rate) for rate in rates]
    for one in rows:
        one["said"]["causes"][0]["rate"] = {"interval": [0.05, 0.2]}
    assert scoring.coverage(scoring.score(rows))["noise rate"] == (0.5, 4)


def test_points_are_held_against_what_their_cause_claims_and_the_error_of_the_truth_is_granted():
    said = {"value": 0.1, "interval": [0.07, 0.14]}
    for truth, held in (([0.12, 0.0], True), ([0.06, 0.0], False), ([0.06, 0.02], True), ([0.15, 0.001], False)):
        points = {"lost": truth, "doubling": [0.5, 0.0]}
        one = row("data", "data", "image-quality", points=points, data_causes=["image-quality"])
        one["said"]["causes"][0]["points"] = said
        assert scoring.coverage(scoring.score([one]))["points of the cause"] == (float(held), 1)


def test_the_bare_rule_blames_the_data_under_its_threshold_only():
    scored = scoring.score([row("data", "data"), row("healthy", "nothing")])
    assert scoring.bare_rule(scored, 0.9) == [True, False]
    assert scoring.bare_rule(scored, 0.5) == [False, True]


def test_a_run_goes_on_where_it_stopped(tmp_path):
    out = tmp_path / "rows.jsonl"
    out.write_text(json.dumps({"case": ALL[0].name}) + "\n", encoding="utf-8")
    assert pending(ALL[:3], out) == ALL[1:3]


def features_of(path):
    """Stands in for a backbone: the pixels of a small copy."""
    with Image.open(path) as image:
        return np.asarray(image.convert("L").resize((16, 16)), dtype=np.float32).ravel() / 255


@pytest.fixture
def without_weights(monkeypatch):
    """No backbone is loaded."""

    def embedded(dataset, _cards):
        matrix = np.stack([features_of(dataset.file(sample)) for sample in dataset.samples])
        return SimpleNamespace(dataset=dataset, matrix=lambda _name: matrix)

    monkeypatch.setattr("benchmarks.faults.handed.embed", embedded)
    monkeypatch.setattr("benchmarks.faults.truth.embed", embedded)


@pytest.mark.usefixtures("without_weights")
def test_a_sound_training_learns_and_each_fault_of_its_harshest_severity_costs(tmp_path):
    folder = world("digits", 0, train=320, validation=100).write(tmp_path)
    sound = train(folder, "efficientnet_lite0", HEALTHY, seed=0).accuracy
    assert sound > 0.85
    for fault in HANDED_FAULTS:
        reached = train(folder, "efficientnet_lite0", fault.trainings[-1], seed=0).accuracy
        assert reached < sound - 0.03 or not fault.measured, fault.name


@pytest.mark.usefixtures("without_weights")
def test_the_cost_of_a_fault_is_seen_on_fresh_pictures_and_noise_in_validation_as_a_wrong_measurement():
    twin = world("digits", 0, train=320, validation=200)
    by_name = {fault.name: fault for fault in DATA_FAULTS}

    few, _ = cost(twin, by_name["few-pictures"].plant(twin, 3, np.random.default_rng(0)))
    careless, claims = cost(twin, by_name["noise-in-validation"].plant(twin, 0.35, np.random.default_rng(0)))

    assert few.learning > 0.1
    assert careless.learning == 0
    assert careless.measuring == pytest.approx(-0.35 * careless.fresh, abs=0.06)
    assert claims.lost[0] == pytest.approx(-careless.measuring)
    assert claims.balanced[0] == 0
    assert cost(twin, twin)[0].points == 0


def test_no_class_of_a_world_is_far_more_frequent_than_another(monkeypatch):
    data = [(bytes([i % 251, i // 251]), int(i >= 200)) for i in range(2000)]
    monkeypatch.setattr("benchmarks.faults.worlds._pool", lambda _name: (data, ("rare", "frequent")))
    drawn = world("digits", 0, train=200, validation=100)
    few, many = np.bincount(drawn.labels)
    assert many < 2 * few


def test_tools_are_run_on_what_they_look_at_and_once(tmp_path, monkeypatch):
    calls = []
    monkeypatch.setitem(rivals.TOOLS, "log", {"seen": ("numpy", lambda log: calls.append(log) or {"odd": 1.0})})
    case = next(c for c in ALL if c.rung == "log" and c.source == "digits")
    monkeypatch.setattr(rivals, "hand_over", lambda *_: ({"log": tmp_path / "log.csv"}, {}))
    for _ in range(2):
        rivals.run([case], tmp_path / "rivals.jsonl", seconds=60)
    assert calls == [tmp_path / "log.csv"]
    [line] = read_rows(tmp_path / "rivals.jsonl")
    assert (line["case"], line["tool"], line["issues"]) == (case.name, "seen", {"odd": 1.0})


def test_a_tool_for_data_alarms_beyond_what_healthy_sets_of_the_development_half_have():
    ours = [
        {**row("healthy", "nothing"), "half": "dev"},
        {**row("data", "data"), "half": "dev"},
        {**row("data", "data"), "case": "other", "half": "dev"},
    ]
    found = [
        {"case": one["case"], "issues": {"dark": share}} for one, share in zip(ours, (0.1, 0.05, 0.2), strict=True)
    ]
    assert [right for _, right in rivals.verdicts(found, scoring.score(ours), "data")] == [True, False, True]


def test_calibration_keeps_the_present_level_unless_another_is_right_more_often():
    cheap = row("healthy", "data", half="dev", file=None, doubling=0.0)
    cheap["said"]["causes"] = [{"name": "image-quality", "points": {"value": 0.012, "interval": [0.002, 0.02]}}]
    dear = row("data", "data", half="dev")
    dear["said"]["causes"] = [{"name": "image-quality", "points": {"value": 0.2, "interval": [0.1, 0.3]}}]
    cases = calibrate.development([dear])
    assert calibrate.best_level(cases, 0.01) == 0.01
    cases = calibrate.development([cheap, dear])
    assert [calibrate.right(cases, level) for level in (0.01, 0.02)] == [1, 2]
    assert calibrate.best_level(cases, 0.01) == 0.015


def test_nothing_is_calibrated_on_the_reported_half():
    assert not calibrate.development([row("data", "data", half="report")])


def test_the_written_module_says_which_script_wrote_it_and_holds_the_level():
    scope: dict = {}
    exec(calibrate.text(0.02, 70), scope)
    assert scope["NEGLIGIBLE"] == 0.02
    assert "benchmarks.faults.calibrate" in scope["__doc__"]


def test_the_picture_has_the_verdicts_and_the_shares(tmp_path):
    scored = scoring.score([row("data", "data"), row("healthy", "nothing"), row("healthy", "data")])
    shown = figures(scored, 0.5)
    assert dict(shown)["false alarm on a healthy case"] == (0.5, 2)
    plot(scored, shown, tmp_path / "rows.png", "reported half")
    with Image.open(tmp_path / "rows.png") as image:
        assert min(image.size) > 400
        assert len(set(image.convert("L").resize((60, 30)).get_flattened_data())) > 10
