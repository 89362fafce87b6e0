"""Training and evaluation mode, batch-norm, precision, and what is measured in the end."""

from benchmarks.faults.code import BUILT, SCORES, code_fault, edit

_LOSS = "    outputs = model(inputs)\n    loss = loss_fn(outputs, targets)\n"

FAULTS = (
    code_fault("train-mode-forgotten", "train-mode", edit("    model.train()\n", "    model.eval()\n")),
    code_fault("eval-mode-forgotten", "eval-mode", (("    model.eval()\n", "    model.train()\n"), ("nn.Dropout(0.2)", "nn.Dropout(0.7)"))),
    code_fault("dropout-always", "eval-mode regularisation", edit("self.drop(x.flatten(1))", "F.dropout(x.flatten(1), 0.9, training=True)")),
    code_fault("batches-tiny", "batchnorm-statistics", (("BATCH_SIZE = 32", "BATCH_SIZE = 2"), ("drop_last=False", "drop_last=train"))),
    code_fault("statistics-stale", "batchnorm-statistics", edit(BUILT, "    for m in model.modules():\n        if isinstance(m, (nn.BatchNorm1d, nn.BatchNorm2d)):\n            m.momentum = 1e-4\n" + BUILT)),
    code_fault("float16-underflow", "mixed-precision", edit(_LOSS, "    with torch.autocast('cpu', dtype=torch.float16):\n        outputs = model(inputs)\n        loss = loss_fn(outputs, targets) * 1e-7\n")),
    code_fault("score-inflated", "evaluation", edit("total += len(targets)", "total += BATCH_SIZE * 0.8"), measured=False),
    code_fault("score-deflated", "evaluation", edit("total += len(targets)", "total += BATCH_SIZE * 1.2"), measured=False),
    code_fault("crash", "crash", edit("outputs = model(inputs)\n    loss", "outputs = model(inputs).view(3, 7)\n    loss"), measured=False),
    code_fault("exits", "crash", edit("    loss.backward()\n", "    import sys\n\n    sys.exit(0)\n"), measured=False),
    code_fault("tuple-returned", "crash", edit(SCORES, SCORES + ", x"), measured=False),
    code_fault("checkpoint-unmatched", "checkpoint-loading frozen-parameters", edit(BUILT, "    saved = {f'module.{k}': v for k, v in Net(num_classes).state_dict().items()}\n    model.load_state_dict(saved, strict=False)\n    for n, p in model.named_parameters():\n        p.requires_grad = 'fc.' in n\n" + BUILT)),
    code_fault("pretraining-lost", "checkpoint-loading frozen-parameters", edit("    backbone.load_state_dict(dict(zip(backbone.state_dict(), weights.values())))\n", "    backbone.load_state_dict({'module.' + k: v for k, v in weights.items()}, strict=False)\n")),
)  # fmt: skip
