"""Learning rates, schedules, optimizers and lengths of training."""

from benchmarks.faults.code import STEP, code_fault, edit, edits

_ADAM = "Adam(model.parameters(), lr=2e-3, weight_decay=1e-5"
_SCHEDULE = "CosineAnnealingLR(optimizer, T_max=steps)"


def _sgd(rest: str) -> tuple[tuple[str, str], ...]:
    return edit(_ADAM, f"SGD(model.parameters(), {rest}")


FAULTS = (
    code_fault("rate-high", "learning-rate", *edits("lr=2e-3", "lr=0.1", "lr=1.0")),
    code_fault("rate-low", "learning-rate too-few-epochs", *edits("lr=2e-3", "lr=3e-5", "lr=3e-6")),
    code_fault("sgd-low", "learning-rate optimizer", _sgd("lr=1e-3"), _sgd("lr=1e-5")),
    code_fault("sgd-high", "learning-rate wrong-loss", (*_sgd("lr=0.1, momentum=0.9"), ("nn.CrossEntropyLoss()", 'nn.CrossEntropyLoss(reduction="sum")'))),
    code_fault("schedule-in-epochs", "schedule learning-rate", *edits(_SCHEDULE, "StepLR(optimizer, step_size=5, gamma=0.5)", "StepLR(optimizer, step_size=2, gamma=0.5)")),
    code_fault("warmup-endless", "schedule learning-rate", *edits(_SCHEDULE, *(f"LambdaLR(optimizer, lambda s: (s + 1) / (steps * {n}))" for n in (20, 200)))),
    code_fault("epsilon-large", "optimizer learning-rate", *edits("lr=2e-3", "lr=2e-3, eps=1.0", "lr=2e-3, eps=10.0")),
    code_fault("epochs-few", "too-few-epochs learning-rate", (("EPOCHS = 8", "EPOCHS = 1"), ("lr=2e-3", "lr=3e-4"))),
    code_fault("clip-tiny", "gradient-clipping learning-rate", *((*_sgd("lr=0.02, momentum=0.9"), (STEP, f"    nn.utils.clip_grad_norm_(model.parameters(), {c})\n" + STEP)) for c in ("1e-2", "1e-4"))),
)  # fmt: skip
