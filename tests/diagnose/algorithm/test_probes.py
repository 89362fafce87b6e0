"""Every fault that an audit can see, planted in a healthy file; and healthy files, on which all probes are silent."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from benchmarks.faults.registry import ALGORITHMS, CODE_FAULTS, planted, source_of
from diagnose.algorithm_context import AlgorithmContext
from diagnose.check import ALGORITHM_CHECKS
from diagnose.findings import Outcome
from diagnose.probe import Certainty
from diagnose.sandbox.loss_audit import audit_loss
from diagnose.sandbox.measurements import Variant
from diagnose.sandbox.model_audit import audit_model
from diagnose.sandbox.worker import _load

# What shows only once something was trained, or stops the code.
BY_TRAINING = {
    "rate-high", "rate-low", "sgd-low", "epochs-few", "eval-mode-forgotten", "statistics-stale", "bottleneck",
    "augmentation-upside-down", "score-inflated", "score-deflated", "crash", "exits", "tuple-returned",
    "too-few-outputs", "sgd-high", "sigmoids-deep",
}  # fmt: skip
BASE = source_of("base")
SEEN = [fault for fault in CODE_FAULTS if fault.name not in BY_TRAINING and planted(BASE, fault, -1) is not None]
HEALTHY = sorted((ALGORITHMS / "healthy").glob("*.py"))


def observed(context, least: Certainty) -> set[str]:
    return {o.cause for kind in ALGORITHM_CHECKS.values() for o in kind().observe(context) if o.certainty >= least}


@pytest.mark.parametrize("fault", SEEN, ids=lambda f: f.name)
def test_a_planted_fault_is_seen_and_named(fault, audited):
    seen = observed(audited(planted(BASE, fault, -1)), Certainty.HINT)

    assert seen & set(fault.causes)


FLOAT16 = next(planted(BASE, fault, 0) for fault in CODE_FAULTS if fault.name == "float16-underflow")


def test_a_gradient_that_float16_loses_is_not_called_a_missing_update(audited):
    assert observed(audited(FLOAT16), Certainty.SURE) == {"mixed-precision"}


def test_a_gradient_that_is_thrown_away_in_float16_is_a_missing_update(audited):
    text = FLOAT16.replace("* 1e-7", "").replace("backward()\n", "backward()\n    optimizer.zero_grad()\n")

    assert observed(audited(text), Certainty.SURE) == {"no-update"}


FILLED = BASE.replace(
    "    model = Net(num_classes)\n",
    "    model = Net(num_classes)\n    saved = Net(num_classes).state_dict()\n"
    "    model.load_state_dict({k: v for k, v in saved.items() if k[:2] in ('co', 'bn')}, strict=False)\n",
).replace("self.drop =", "self.mid = nn.Linear(1024, 1024)\n        self.drop =")


@pytest.mark.parametrize(
    ("features", "stuck"), [("self.mid(x.flatten(1)).detach()", True), ("self.mid(x.flatten(1).detach())", False)]
)
def test_a_new_layer_that_no_gradient_reaches_is_a_fault_and_a_pretrained_one_may_be_meant_to(features, stuck, audited):
    seen = observed(audited(FILLED.replace("x.flatten(1)", features)), Certainty.SURE)

    assert ("frozen-parameters" in seen) == stuck


FROZEN = FILLED.replace(
    "    return model\n",
    "    for name, p in model.named_parameters():\n        p.requires_grad = 'fc' in name or 'mid' in name\n    return model\n",
).replace("self.drop(x.flatten(1))", "self.drop(self.mid(x.flatten(1)))")
RANDOM = FROZEN.replace(" or 'mid' in name", "")


@pytest.mark.parametrize(("text", "fault"), [(FROZEN, False), (RANDOM, True)])
def test_a_random_layer_frozen_under_a_pretrained_network_is_a_fault_and_the_network_is_not(text, fault, audited):
    assert ("frozen-parameters" in observed(audited(text), Certainty.SURE)) == fault


def test_what_a_checkpoint_filled_is_neither_thawed_beside_a_frozen_random_layer_nor_drawn_anew(bench_of):
    plain, thawed, drawn = (
        bench_of(RANDOM, variant).build().model for variant in (Variant(), Variant(unfreeze=True), Variant(reset=True))
    )
    training = {name for name, p in thawed.named_parameters() if p.requires_grad}

    assert {n for n, p in plain.named_parameters() if p.requires_grad} == {"fc.weight", "fc.bias"}
    assert training == {"fc.weight", "fc.bias", "mid.weight", "mid.bias"}
    same = {name for name, p in drawn.named_parameters() if torch.equal(p, dict(plain.named_parameters())[name])}
    assert {"conv1.weight", "conv3.bias"} <= same
    assert not {"fc.weight", "mid.weight"} & same


def test_weights_that_were_changed_after_they_were_loaded_are_drawn_anew(bench_of):
    spoilt = FILLED.replace("    return model\n", "    nn.init.zeros_(model.conv1.weight)\n    return model\n")
    model = bench_of(spoilt, Variant(reset=True)).build().model

    assert float(model.conv1.weight.detach().abs().sum()) > 0


def test_weights_that_too_small_a_step_leaves_as_they_are_are_not_called_frozen(audited):
    adam = "torch.optim.Adam(model.parameters(), lr=2e-3, weight_decay=1e-5)"
    seen = observed(audited(BASE.replace(adam, "torch.optim.SGD(model.parameters(), lr=1e-6)")), Certainty.HINT)

    assert adam in BASE
    assert "frozen-parameters" not in seen


def test_the_healthy_twin_is_silent(audited):
    assert observed(audited(BASE), Certainty.HINT) == set()


@pytest.mark.parametrize(
    ("line", "cause"),
    [
        ("    inputs = inputs[torch.randperm(len(inputs))]", {"wrong-loss"}),
        ("    order = torch.randperm(len(inputs))\n    inputs, targets = inputs[order], targets[order]", set()),
        ("    inputs = inputs.flip(3)", set()),
    ],
    ids=["without their labels", "with their labels", "mirrored"],
)
def test_pictures_that_a_step_shuffles_stay_paired_with_their_labels_or_are_named(line, cause, audited):
    step = "def train_step(model, inputs, targets, loss_fn, optimizer):\n"
    assert step in BASE

    assert observed(audited(BASE.replace(step, f"{step}{line}\n")), Certainty.SURE) == cause


@pytest.mark.parametrize("path", HEALTHY, ids=lambda p: p.stem)
def test_what_is_legitimate_is_silent(path: Path, audited):
    assert observed(audited(path.read_text(encoding="utf-8")), Certainty.HINT) == set()


@pytest.mark.parametrize("classes", [2, 3, 6])
def test_one_class_against_all_others_is_no_softmax_twice_whatever_their_number(classes, bench_of):
    def audit(text):
        bench = few_classes(bench_of(text), classes)
        context = AlgorithmContext(
            num_classes=classes, loaded=_load(bench), model=audit_model(bench), loss=audit_loss(bench)
        )
        return {o.cause for o in ALGORITHM_CHECKS["objective"]().observe(context) if o.certainty >= Certainty.HINT}

    softmax_twice = next(fault for fault in CODE_FAULTS if "double-softmax" in fault.causes)

    assert audit((ALGORITHMS / "healthy" / "one_vs_all.py").read_text(encoding="utf-8")) == set()
    assert audit(planted(BASE, softmax_twice, -1)) == {"double-softmax"}


def few_classes(bench, classes):
    """The bench with the pictures of the first classes alone."""
    kept = [i for i, label in enumerate(bench.pictures.train_labels) if label < classes]
    pictures = replace(
        bench.pictures,
        train=tuple(bench.pictures.train[i] for i in kept),
        train_labels=tuple(bench.pictures.train_labels[i] for i in kept),
        classes=bench.pictures.classes[:classes],
    )
    return replace(bench, pictures=pictures)


def test_every_cause_of_the_table_has_a_probe_that_may_report_it():
    causes = {cause for kind in ALGORITHM_CHECKS.values() for cause in kind.causes}

    assert causes >= {name for fault in CODE_FAULTS for name in fault.causes}
    assert len(causes) == sum(len(kind.causes) for kind in ALGORITHM_CHECKS.values())


@pytest.mark.parametrize("name", sorted(ALGORITHM_CHECKS))
def test_a_probe_documents_itself(name):
    text = ALGORITHM_CHECKS[name].__doc__ or ""

    for section in ("What it does:", "Why it is bad:", "Known problems:", "Remedy:", "References:"):
        assert section in text


def test_without_measurements_no_probe_fails(audited):
    context = AlgorithmContext(num_classes=3)
    findings = [f for kind in ALGORITHM_CHECKS.values() for f in kind().run(context)]

    assert all(f.outcome is Outcome.PASS for f in findings)
