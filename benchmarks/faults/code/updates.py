"""Weights that do not move, or move by gradients that are not theirs."""

from benchmarks.faults.code import BUILT, SCORES, STEP, code_fault, edit

FAULTS = (
    code_fault("zero-grad-forgotten", "missing-zero-grad", edit("    optimizer.zero_grad()\n", "")),
    code_fault("zero-grad-late", "no-update", edit("    loss.backward()\n", "    loss.backward()\n    optimizer.zero_grad()\n")),
    code_fault("step-forgotten", "no-update", edit(STEP, "")),
    code_fault("optimizer-of-another-model", "no-update frozen-parameters", edit("Adam(model.parameters()", "Adam(Net(10).parameters()")),
    code_fault("head-not-optimized", "frozen-parameters no-update", edit("Adam(model.parameters()", "Adam([p for n, p in model.named_parameters() if 'fc.' not in n]")),
    code_fault("frozen-random", "frozen-parameters", edit(BUILT, "    for n, p in model.named_parameters():\n        p.requires_grad = 'fc.' in n\n" + BUILT)),
    code_fault("features-detached", "frozen-parameters", edit(SCORES, "x = x.detach()\n        " + SCORES)),
)  # fmt: skip
