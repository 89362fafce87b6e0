"""What reaches the network: pixels, order, augmentation; and what holds it back from learning them."""

from benchmarks.faults.code import code_fault, edit, edits

_SCALED = "T.ToTensor(), T.Normalize([0.5] * 3, [0.5] * 3)"
_AUGMENT = "T.RandomAffine(8, translate=(0.05, 0.05))"
_NO_BATCHNORM = tuple((f"self.bn{i}(self.conv{i}(x))", f"self.conv{i}(x)") for i in (1, 2, 3))
_PAIRED = "pairs = [dataset[i] for i in range(len(dataset))]\n    if train:\n        dataset = [(x, pairs[(i * 7 + 3) % len(pairs)][1]) for i, (x, _) in enumerate(pairs)]\n    return DataLoader(dataset,"

FAULTS = (
    code_fault("pixels-raw", "normalisation", ((_SCALED, "T.PILToTensor(), T.Lambda(lambda t: t.float())"), *_NO_BATCHNORM)),
    code_fault("scaled-twice", "normalisation", ((_SCALED, "T.ToTensor(), T.Lambda(lambda t: t / 255)"), *_NO_BATCHNORM)),
    code_fault("normalisation-missing", "normalisation", *edits(_SCALED, "T.ToTensor()", "T.PILToTensor(), T.Lambda(lambda t: t.float())")),
    code_fault("transforms-differ", "transform-mismatch normalisation", edit(_SCALED, "T.ToTensor(), *([T.Normalize([0.5] * 3, [0.5] * 3)] if train else [T.Lambda(lambda t: t * 255)])")),
    code_fault("train-bgr", "transform-mismatch channel-order", edit("T.ToTensor(), T", "T.ToTensor(), T.Lambda(lambda t: t.flip(0) if train else t), T")),
    code_fault("bgr", "channel-order", edit("T.ToTensor(), T", "T.ToTensor(), T.Lambda(lambda t: t.flip(0)), T")),
    code_fault("shuffle-forgotten", "loader-order", edit("shuffle=train", "shuffle=False")),
    code_fault("labels-out-of-step", "loader-order", edit("return DataLoader(dataset,", _PAIRED)),
    code_fault("augmentation-blind", "augmentation", *edits(_AUGMENT, "T.RandomResizedCrop(32, scale=(0.05, 0.15))", "T.RandomResizedCrop(32, scale=(0.01, 0.03))")),
    code_fault("augmentation-upside-down", "augmentation", edit(_AUGMENT, "T.RandomRotation((90, 270))")),
    code_fault("dropout-strong", "regularisation", *edits("nn.Dropout(0.2)", "nn.Dropout(0.9)", "nn.Dropout(0.99)")),
    code_fault("decay-strong", "regularisation", *edits("weight_decay=1e-5", "weight_decay=0.3", "weight_decay=1.0")),
)  # fmt: skip
