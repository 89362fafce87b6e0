"""Networks that cannot learn, or not what they should."""

from benchmarks.faults.code import BUILT, SCORES, code_fault, edit, edits

_MODULES = "    for m in model.modules():\n        if isinstance(m, (nn.Conv2d, nn.Linear)) and m.weight.requires_grad:\n            "

FAULTS = (
    code_fault("too-few-outputs", "output-size crash", edit("Net(num_classes)", "Net(num_classes - 1)"), measured=False),
    code_fault("too-many-outputs", "output-size", edit("Net(num_classes)", "Net(1000)")),
    code_fault("no-activation", "non-linearity capacity", (("F.relu(self.bn1(self.conv1(x)))", "self.bn1(self.conv1(x))"),
        ("F.relu(self.bn2(self.conv2(x)))", "self.bn2(self.conv2(x))"), ("F.relu(self.bn3(self.conv3(x)))", "self.bn3(self.conv3(x))"), ("F.max_pool2d", "F.avg_pool2d"))),
    code_fault("weights-constant", "initialisation", edit(BUILT, _MODULES + "nn.init.constant_(m.weight, 0.01)\n" + BUILT)),
    code_fault("weights-zero", "initialisation gradient-flow no-update", edit(BUILT, _MODULES + "nn.init.zeros_(m.weight)\n" + BUILT)),
    code_fault("weights-huge", "initialisation gradient-flow", *(edit(BUILT, _MODULES + f"nn.init.normal_(m.weight, 0, {s})\n" + BUILT) for s in (1, 10))),
    code_fault("dead-relu", "initialisation gradient-flow", edit("nn.Linear(1280, 64)\n", "nn.Linear(1280, 64)\n        nn.init.constant_(self.fc1.bias, -30)\n")),
    code_fault("sigmoids-deep", "gradient-flow initialisation capacity", *edits(SCORES, *(f"for _ in range({n}):\n            x = torch.sigmoid(0.1 * x) - 0.5\n        " + SCORES for n in (3, 12)))),
    code_fault("bottleneck", "capacity", edit("self.fc = nn.Linear(64 * 16, num_classes)", "self.fc = nn.Sequential(nn.Linear(64 * 16, 1), nn.Linear(1, num_classes))")),
)  # fmt: skip
