"""The freshly built model, looked at from outside: its outputs, its layers, its inputs, its optimizer."""

from __future__ import annotations

from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from diagnose.sandbox.matching import expected_statistics
from diagnose.sandbox.measurements import ModelFacts, OutputDomain
from diagnose.sandbox.parts import head_name, is_distribution
from diagnose.sandbox.pictures import BLACK, WHITE, stack
from diagnose.sandbox.workbench import Built, Workbench, evaluating, logits_of, seed_everything

#: Standard deviation over a batch from which on outputs between 0 and 1 are scores, not a fresh network's noise.
_LEAST_SPREAD = 1e-3
_WEIGHTED = ("convolution", "addmm", "mm", "bmm", "linear", "baddbmm")
_NON_LINEAR = [
    "relu",
    "relu_",
    "hardtanh",
    "hardtanh_",
    "gelu",
    "silu",
    "silu_",
    "elu",
    "elu_",
    "leaky_relu",
    "leaky_relu_",
    "tanh",
    "tanh_",
    "sigmoid",
    "sigmoid_",
    "hardswish",
    "hardswish_",
    "hardsigmoid",
    "mish",
    "mish_",
    "softplus",
    "_softmax",
    "threshold",
    "threshold_",
    "clamp",
    "clamp_",
    "clamp_min",
    "clamp_min_",
    "_prelu_kernel",
    "maximum",
    "abs",
    "square",
    "pow",
    "sin",
    "exp",
    "celu",
    "selu",
    "log_sigmoid_forward",
    "softshrink",
]


def audit_model(bench: Workbench) -> ModelFacts:
    """Build the model and measure it on one batch."""
    built = bench.build()
    count = min(8, len(bench.pictures.train))
    # Spread over the class-ordered pictures, so that the batch holds several classes.
    positions = torch.linspace(0, len(bench.pictures.train) - 1, 2 * count).long().tolist()
    inputs = stack([bench.pictures.train[i] for i in positions], built.eval_transform)
    inputs, others = inputs[0::2], inputs[1::2]
    seed_everything(bench.seed)
    with evaluating(built.model):
        raw = built.model(inputs)
        outputs = logits_of(raw)
        facts = {**_outputs(raw, outputs), **_consistency(built.model, inputs, others, outputs)}
        facts |= _operations(built.model, inputs)
        facts |= _input_facts(built, bench, inputs)
    return ModelFacts(**facts, **_weights(built.model), **_coverage(built), loads=built.loads)


def _outputs(raw: Any, outputs: Tensor) -> dict[str, Any]:
    finite = bool(outputs.isfinite().all())
    outputs = outputs.float()
    spread = float(outputs.std(0).mean() / outputs.abs().mean().clamp_min(1e-12)) if finite else 0.0
    return {
        "output": type(raw).__name__,
        "shape": tuple(outputs.shape),
        "finite": finite,
        "domain": domain_of(outputs) if outputs.ndim == 2 and finite else "logits",
        "spread": spread,
    }


def domain_of(outputs: Tensor) -> OutputDomain:
    """What the rows of ``outputs`` look like."""
    if is_distribution(outputs):
        return "probabilities"
    if is_distribution(outputs.exp()):
        return "log-probabilities"
    if bool(((outputs >= 0) & (outputs <= 1)).all()) and float(outputs.std()) > _LEAST_SPREAD:
        return "unit-interval"
    return "logits"


def _consistency(model: nn.Module, inputs: Tensor, others: Tensor, outputs: Tensor) -> dict[str, Any]:
    """Whether a picture's answer depends on its neighbours in the batch, or on chance."""
    half = max(1, len(inputs) // 2)
    mixed = logits_of(model(torch.cat([inputs[:half], others[half:]])))
    again = logits_of(model(inputs))
    size = float(outputs.float().std().clamp_min(1e-6))
    rows = min(half, len(outputs), len(mixed))
    return {
        "mixing": float((mixed[:rows] - outputs[:rows]).float().abs().max()) / size,
        "repeat": float((again - outputs).float().abs().max()) / size,
    }


class _Operations(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Lists the forward pass's operations; for rectifiers, the share of channels that are 0 everywhere."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.names: list[str] = []
        self.dead: list[float] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        name = func.overloadpacket.__name__
        self.names.append(name)
        if name in {"relu", "relu_"} and isinstance(result, Tensor) and result.ndim > 1:
            channels = result.detach().transpose(0, 1).flatten(1)
            self.dead.append(float((channels == 0).all(1).float().mean()))
        return result


def _operations(model: nn.Module, inputs: Tensor) -> dict[str, Any]:
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)  # it runs a whole transformer block as one operation
    try:
        with _Operations() as seen:
            model(inputs)
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
    weighted = [i for i, name in enumerate(seen.names) if name in _WEIGHTED]
    last = weighted[-1] if weighted else 0
    return {
        "weighted": len(weighted),
        "activations": sum(n in _NON_LINEAR or n.startswith("_scaled_dot_product") for n in seen.names[:last]),
        "dead": max(seen.dead, default=0.0),
    }


def _input_facts(built: Built, bench: Workbench, inputs: Tensor) -> dict[str, Any]:
    """What reaches the first layer with weights, and the normalisation that it went through."""
    size = bench.pictures.train[0].size
    black, white = (_arriving(built, _flat(built, colour, size)) for colour in (BLACK, WHITE))
    arriving = _arriving(built, inputs).transpose(0, 1).flatten(1)
    scale = (white - black).transpose(0, 1).flatten(1).median(1).values
    offset = black.transpose(0, 1).flatten(1).median(1).values
    safe = torch.where(scale.abs() < 1e-9, torch.full_like(scale, 1e-9), scale)
    expected = expected_statistics(built.model)
    return {
        "input_mean": tuple(arriving.mean(1).tolist()),
        "input_std": tuple(arriving.std(1).tolist()),
        "effective_mean": tuple((-offset / safe).tolist()),
        "effective_std": tuple((1 / safe).tolist()),
        "expected_mean": expected[0] if expected else (),
        "expected_std": expected[1] if expected else (),
    }


def _flat(built: Built, colour: tuple[int, int, int], size: tuple[int, int]) -> Tensor:
    return stack([Image.new("RGB", size, colour)] * 2, built.eval_transform)


def _arriving(built: Built, inputs: Tensor) -> Tensor:
    """The images as the first layer with weights gets them; the batch itself where that layer gets something else."""
    seen: list[Tensor] = []
    first = next((m for m in built.model.modules() if isinstance(m, nn.modules.conv._ConvNd | nn.Linear)), None)  # noqa: SLF001
    if first is not None:
        handle = first.register_forward_pre_hook(lambda _m, arguments: seen.append(arguments[0].detach()))
        built.model(inputs)
        handle.remove()
    return seen[0].float() if seen and seen[0].ndim == 4 else inputs.float()


def _weights(model: nn.Module) -> dict[str, Any]:
    modules = dict(model.named_modules())
    layers = {n: m for n, m in modules.items() if isinstance(m, nn.Linear | nn.modules.conv._ConvNd)}  # noqa: SLF001
    head = head_name(model)
    constant = [
        n for n, m in layers.items() if n != head and m.weight.numel() > 1 and bool(m.weight.min() == m.weight.max())
    ]
    norms = [m for m in modules.values() if isinstance(m, nn.modules.batchnorm._BatchNorm)]  # noqa: SLF001
    dropouts = [m.p for m in modules.values() if isinstance(m, nn.modules.dropout._DropoutNd) and m.p > 0]  # noqa: SLF001
    parameters = list(model.parameters())
    return {
        "parameters": sum(p.numel() for p in parameters),
        "trainable": sum(p.numel() for p in parameters if p.requires_grad),
        "head": head,
        "constant": tuple(constant[:5]),
        "dtype": str(parameters[0].dtype).removeprefix("torch.") if parameters else "none",
        "batchnorms": len(norms),
        "untracked": sum(not m.track_running_stats for m in norms),
        "dropouts": len(dropouts),
        "dropout": max(dropouts, default=0.0),
    }


def _coverage(built: Built) -> dict[str, Any]:
    """What the optimizer holds of the model."""
    named = dict(built.model.named_parameters())
    held = {id(p) for group in built.optimizer.param_groups for p in group["params"]}
    own = {id(p) for p in named.values()}
    optimised = {n: p for n, p in named.items() if id(p) in held and p.requires_grad}
    head = head_name(built.model)
    groups = built.optimizer.param_groups
    return {
        "optimised": sum(p.numel() for p in optimised.values()),
        "new": sum(p.numel() for p in named.values() if id(p) not in built.filled),
        "new_optimised": sum(p.numel() for p in optimised.values() if id(p) not in built.filled),
        "forgotten": tuple(n for n, p in named.items() if p.requires_grad and id(p) not in held)[:5],
        "foreign": len(held - own),
        "head_optimised": any(n.rsplit(".", 1)[0] == head for n in optimised),
        "weight_decay": max(float(g.get("weight_decay", 0)) for g in groups),
        "learning_rate": max(float(g["lr"]) for g in groups),
        "optimizer": type(built.optimizer).__name__,
        "epsilon": max(float(g.get("eps", 0)) for g in groups),
    }
