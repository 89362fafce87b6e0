"""Losses that ask for something else than the right class."""

from benchmarks.faults.code import CROSS_ENTROPY, SCORES, code_fault, edit

FAULTS = (
    code_fault("softmax-twice", "double-softmax", edit(SCORES, SCORES + ".softmax(1)")),
    code_fault("sigmoid-before-softmax", "double-softmax", edit(SCORES, SCORES + ".sigmoid()")),
    code_fault("softmax-in-loss", "double-softmax", edit(CROSS_ENTROPY, "return lambda o, t: F.cross_entropy(o.softmax(1), t)")),
    code_fault("sign-flipped", "wrong-loss", edit("loss = loss_fn(outputs, targets)", "loss = -loss_fn(outputs, targets)")),
    code_fault("nll-of-logits", "wrong-loss", edit("nn.CrossEntropyLoss()", "nn.NLLLoss()")),
    code_fault("class-as-number", "wrong-loss", edit(CROSS_ENTROPY, "return lambda o, t: F.mse_loss(o.mean(1), t.float())")),
    code_fault("labels-shifted", "label-map wrong-loss", edit("loss_fn(outputs, targets)", "loss_fn(outputs, (targets + 1) % outputs.shape[1])")),
    code_fault("softmax-over-batch", "mixed-examples", edit(SCORES, SCORES + ".log_softmax(0)")),
)  # fmt: skip
