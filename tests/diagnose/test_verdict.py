"""Every row of the table, and what no row may ever say."""

import itertools
from dataclasses import replace

import pytest

from diagnose.findings import (
    Conclusion,
    Control,
    Edit,
    Estimate,
    Evidence,
    Finding,
    Kind,
    NotTested,
    Outcome,
    Part,
    Side,
    Strength,
)
from diagnose.verdict import Level, Results, adjudicate, judge, level, shares


def around(value, half=0.01):
    return Estimate(value=value, interval=(value - half, value + half))


def finding(side, cause="label-noise", points=0.05, outcome=Outcome.FAIL):
    return Finding(
        check=cause,
        cause=cause,
        side=side,
        outcome=outcome,
        message="",
        points=None if points is None else around(points),
    )


DATA_FAULT = finding(Side.DATA)
CODE_FAULT = finding(Side.ALGORITHM, "normalisation")
WORKS = around(0.97)
BROKEN = around(0.3)

#: D, B, evidence on the data, C -> verdict; the target is 0.9.
TABLE = [
    ("bad", "good", None, "bad", Conclusion.ALGORITHM),
    ("bad", "good", None, None, Conclusion.ALGORITHM),
    ("bad", "good", None, "good", Conclusion.ALGORITHM),
    ("bad", "bad", DATA_FAULT, "good", Conclusion.DATA),
    ("bad", "bad", DATA_FAULT, "bad", Conclusion.BOTH),
    ("bad", "bad", DATA_FAULT, None, Conclusion.DATA),
    ("bad", "bad", None, "good", Conclusion.UNDETERMINED),
    ("bad", "bad", None, "bad", Conclusion.UNDETERMINED),
    ("bad", "bad", None, None, Conclusion.UNDETERMINED),
    ("good", "good", None, None, Conclusion.NOTHING),
    ("good", "good", DATA_FAULT, None, Conclusion.NOTHING),
]
B = {"good": around(0.95), "bad": around(0.7)}
D = {("good", "good"): around(0.95), ("bad", "good"): around(0.6), ("bad", "bad"): around(0.69)}
C = {"good": around(0.95), "bad": around(0.4), None: None}


@pytest.mark.parametrize(("d", "b", "evidence", "c", "expected"), TABLE)
def test_each_row_of_the_table_gives_its_verdict(d, b, evidence, c, expected):
    yours, reference = D[d, b], B[b]
    verdict = adjudicate(
        Results(
            positive_control=WORKS,
            reference=reference,
            yours=yours,
            gap=reference - yours,
            own_code=C[c],
            target=0.9,
            findings=() if evidence is None else (evidence,),
        )
    )
    assert verdict.conclusion is expected


def test_good_code_that_fails_on_good_data_is_blamed_for_how_it_meets_the_data():
    results = Results(
        positive_control=WORKS,
        reference=around(0.95),
        yours=around(0.6),
        gap=around(0.35),
        own_code=around(0.95),
        target=0.9,
    )
    assert "how it meets this data" in adjudicate(results).summary


CELLS = [None, around(0.3), around(0.88, 0.05), around(0.97)]
SETS = [(), (DATA_FAULT,), (CODE_FAULT,), (DATA_FAULT, CODE_FAULT)]


@pytest.mark.parametrize("target", [None, 0.9])
def test_the_data_is_never_blamed_without_evidence_or_without_the_positive_control(target):
    for control, reference, yours, code, findings in itertools.product(CELLS, CELLS[1:], CELLS, CELLS, SETS):
        gap = None if yours is None else reference - yours
        results = Results(
            positive_control=control,
            reference=reference,
            yours=yours,
            gap=gap,
            own_code=code,
            target=target,
            findings=findings,
        )
        verdict = adjudicate(results)
        if verdict.conclusion in {Conclusion.DATA, Conclusion.BOTH}:
            assert DATA_FAULT in findings
            assert level(control, results.positive_line) is Level.GOOD
            assert verdict.causes


def test_without_target_or_figure_a_costly_finding_is_a_failure_and_a_remark_is_none():
    base = {"positive_control": WORKS, "reference": around(0.8)}
    assert adjudicate(Results(**base, findings=(DATA_FAULT,))).conclusion is Conclusion.DATA
    remark = finding(Side.DATA, outcome=Outcome.REVIEW)
    verdict = adjudicate(Results(**base, findings=(remark,)))
    assert verdict.conclusion is Conclusion.NOTHING
    assert verdict.remarks
    assert not verdict.causes


def test_without_target_a_figure_well_under_the_reference_blames_the_algorithm():
    results = Results(
        positive_control=WORKS, reference=around(0.9), yours=around(0.7), gap=around(0.2, 0.03), paired=True
    )
    verdict = adjudicate(results)
    assert verdict.conclusion is Conclusion.ALGORITHM
    assert verdict.strength is Strength.CONCLUSIVE


def test_a_data_fault_beside_a_gap_to_the_reference_is_both():
    results = Results(
        positive_control=WORKS, reference=around(0.8), yours=around(0.6), gap=around(0.2, 0.03), findings=(DATA_FAULT,)
    )
    assert adjudicate(results).conclusion is Conclusion.BOTH


def test_a_gap_that_straddles_zero_cannot_be_told():
    results = Results(positive_control=WORKS, reference=around(0.9), yours=around(0.86), gap=around(0.04, 0.06))
    verdict = adjudicate(results)
    assert verdict.conclusion is Conclusion.UNDETERMINED
    assert "straddles" in verdict.summary


def test_a_small_gap_that_may_be_none_is_nothing_wrong():
    yours = around(0.93, 0.04)
    verdict = adjudicate(
        Results(positive_control=WORKS, reference=around(0.945, 0.03), yours=yours, gap=around(0.015, 0.05))
    )

    assert verdict.conclusion is Conclusion.NOTHING


def test_a_figure_that_straddles_the_target_cannot_be_told():
    results = Results(
        positive_control=WORKS,
        reference=around(0.9, 0.03),
        yours=around(0.89, 0.03),
        gap=around(0.01, 0.03),
        target=0.9,
    )
    verdict = adjudicate(results)
    assert verdict.conclusion is Conclusion.UNDETERMINED
    assert "straddles" in verdict.summary


def test_a_failed_positive_control_points_at_the_installation():
    results = Results(positive_control=BROKEN, reference=around(0.5), findings=(DATA_FAULT,))
    verdict = adjudicate(results)
    assert verdict.conclusion is Conclusion.UNDETERMINED
    assert "installation" in verdict.summary


def test_an_open_case_names_what_would_settle_it():
    results = Results(
        positive_control=WORKS,
        reference=around(0.7),
        yours=around(0.7),
        gap=around(0.0),
        target=0.95,
        not_tested=(NotTested(name="reference", needs="fine-tuning a stronger model"),),
    )
    assert "fine-tuning a stronger model" in adjudicate(results).summary


def test_a_gap_that_explains_most_of_the_shortfall_blames_the_algorithm_though_the_target_is_out_of_reach():
    results = Results(
        positive_control=WORKS,
        reference=around(0.85),
        yours=around(0.3),
        gap=around(0.55),
        paired=True,
        target=0.95,
    )
    assert adjudicate(results).conclusion is Conclusion.ALGORITHM


def test_causes_are_ordered_by_points_and_interventions_come_before_observations():
    seen = finding(Side.DATA, "image-quality", None)
    tried = Finding(
        check="t",
        cause="split-leakage",
        side=Side.DATA,
        outcome=Outcome.FAIL,
        message="",
        evidence=(Evidence(statistic="x", value=1.0, kind=Kind.INTERVENTION),),
    )
    small, large = finding(Side.DATA, "off-topic", 0.02), finding(Side.DATA, "label-noise", 0.08)
    verdict = adjudicate(Results(positive_control=WORKS, reference=around(0.8), findings=(seen, tried, small, large)))
    assert [cause.cause for cause in verdict.causes] == ["label-noise", "off-topic", "split-leakage", "image-quality"]


def test_an_observation_alone_is_suggestive_and_points_are_conclusive():
    seen = adjudicate(
        Results(positive_control=WORKS, reference=around(0.8), findings=(finding(Side.DATA, points=None),))
    )
    won = adjudicate(Results(positive_control=WORKS, reference=around(0.8), findings=(DATA_FAULT,)))
    assert (seen.strength, won.strength) == (Strength.SUGGESTIVE, Strength.CONCLUSIVE)


def test_the_shortfall_is_split_between_data_and_algorithm():
    verdict = adjudicate(
        Results(positive_control=WORKS, reference=around(0.9), yours=around(0.7), gap=around(0.2), target=0.95)
    )
    data, algorithm = shares(verdict)
    assert data.value == pytest.approx(0.05)
    assert algorithm.value == pytest.approx(0.2)
    assert algorithm.interval[0] < 0.2 < algorithm.interval[1]


@pytest.mark.parametrize(
    ("points", "void", "expected"),
    [
        (around(0.05), False, Outcome.FAIL),
        (around(0.005, 0.001), False, Outcome.REVIEW),
        (around(0.05, 0.06), False, Outcome.REVIEW),
        (None, False, Outcome.REVIEW),
        (None, True, Outcome.FAIL),
    ],
)
def test_a_finding_fails_by_its_cost_or_by_voiding_the_measurement(points, void, expected):
    assert judge(points, untrustworthy=void) is expected


def test_unusable_data_is_never_guessed_about():
    verdict = adjudicate(Results(unusable="no picture can be read.", controls=(Control(name="c", accuracy=WORKS),)))
    assert verdict.conclusion is Conclusion.UNDETERMINED
    assert "no picture can be read" in verdict.summary


def test_where_labels_carry_no_signal_what_is_read_off_them_is_a_remark():
    shuffled = finding(Side.DATA, "no-signal", points=None)
    overlap, copies = finding(Side.DATA, "class-overlap", points=0.8), finding(Side.DATA, "split-leakage", points=0.02)
    verdict = adjudicate(Results(positive_control=WORKS, reference=around(0.2), findings=(overlap, shuffled, copies)))

    assert {cause.cause for cause in verdict.causes} == {"no-signal", "split-leakage"}
    assert [remark.cause for remark in verdict.remarks] == ["class-overlap"]


def test_an_edit_of_the_file_is_given_only_where_the_algorithm_is_among_the_causes():
    edit = Edit(file="train.py", diff="")
    blamed = Results(positive_control=WORKS, findings=(CODE_FAULT,), edit=edit)
    assert adjudicate(blamed).edit is edit
    assert adjudicate(replace(blamed, findings=(DATA_FAULT,))).edit is None


def test_where_nothing_was_compared_the_summary_says_what_was_seen_and_not_who_does_better():
    seen = finding(Side.ALGORITHM, "normalisation", points=None)
    results = Results(positive_control=WORKS, reference=around(0.9), findings=(seen,))
    assert adjudicate(results).summary == "The algorithm: normalisation."
    both = adjudicate(replace(results, findings=(seen, DATA_FAULT)))
    assert both.summary == "Both: the data (label-noise), and the algorithm (normalisation)."
    compared = replace(results, yours=around(0.6), gap=around(0.3))
    assert "does better on the same data" in adjudicate(compared).summary


def test_the_summary_says_what_did_better_where_that_is_their_own_algorithm_mended():
    mended = Part(learnt=320, judged=200, possible=around(0.98), by="your algorithm with its causes mended")
    results = Results(
        positive_control=WORKS, reference=around(0.9), findings=(CODE_FAULT,), yours=around(0.91), gap=around(0.07)
    )
    assert "a known-good model does better" in adjudicate(results).summary
    better = "your algorithm with its causes mended does better on the same data"
    assert better in adjudicate(replace(results, part=mended)).summary
