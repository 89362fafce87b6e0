"""The callback in trainings by Hugging Face's ``Trainer`` itself."""

from __future__ import annotations

import gc
import weakref

import pytest
import torch
from torch import nn

from tests.diagnose.callbacks.worlds import hookless, items, named, network, same

transformers = pytest.importorskip("transformers")

from diagnose.callbacks.huggingface import ZooVet  # noqa: E402 - needs transformers


class Classifier(nn.Module):
    """As the Trainer wants it: a dict with the loss from inputs and labels by name."""

    def __init__(self, *, resets: bool = True) -> None:
        super().__init__()
        self.net, self.resets = network(), resets

    def forward(self, inputs, labels):
        logits = self.net(inputs)
        return transformers.modeling_outputs.SequenceClassifierOutput(
            loss=nn.functional.cross_entropy(logits, labels), logits=logits
        )

    def zero_grad(self, set_to_none: bool = True) -> None:
        if self.resets:
            super().zero_grad(set_to_none)


def train(tmp_path, model, *, vet=None, parameters=None, **arguments):
    settings = {
        "output_dir": str(tmp_path),
        "per_device_train_batch_size": 8,
        "num_train_epochs": 4,
        "learning_rate": 0.01,
        "report_to": "none",
        "save_strategy": "no",
        "use_cpu": True,
        "disable_tqdm": True,
        "dataloader_pin_memory": False,
        "logging_strategy": "no",
    }
    trainer = transformers.Trainer(
        model,
        transformers.TrainingArguments(**(settings | arguments)),
        train_dataset=[{"inputs": x, "labels": y} for x, y in items()],
        callbacks=[] if vet is None else [vet],
        optimizers=(torch.optim.AdamW(parameters or model.parameters(), lr=0.01), None),
    )
    trainer.train()
    return model


@pytest.mark.parametrize(
    "arguments",
    [{}, {"gradient_accumulation_steps": 4}, {"bf16": True}, {"max_grad_norm": 0.1}],
    ids=["plain", "accumulation", "bfloat16", "clipping"],
)
def test_a_healthy_training_is_silent_and_the_same_to_the_last_bit(tmp_path, arguments):
    said: list[str] = []
    vet = ZooVet(show=said.append)

    watched = train(tmp_path, Classifier(), vet=vet, **arguments)
    plain = train(tmp_path, Classifier(), **arguments)

    assert vet.findings == ()
    updates = 8 if "gradient_accumulation_steps" in arguments else 32
    assert said == [f"zoovet looked at {updates} of {updates} updates and found nothing amiss."]
    assert all(0 < r.loss < 5 and r.gradient_norm > 0 and r.training for r in vet.records)
    assert same(watched, plain)
    assert hookless(watched)


def test_a_backbone_frozen_on_purpose_is_silent(tmp_path):
    model, vet = Classifier(), ZooVet()
    model.net[0].requires_grad_(requires_grad=False)

    train(tmp_path, model, vet=vet)

    assert vet.findings == ()


def test_gradients_that_are_never_reset_are_found_and_shown(tmp_path):
    said: list[str] = []
    vet = ZooVet(show=said.append)

    train(tmp_path, Classifier(resets=False), vet=vet)

    assert named(vet.findings) == {"missing-zero-grad": "SURE"}
    assert "missing-zero-grad: Steps that began with an old gradient: 100% of the samples." in said[0]


def test_a_head_that_the_optimizer_lacks_is_found(tmp_path):
    model, vet = Classifier(), ZooVet()

    train(tmp_path, model, vet=vet, parameters=list(model.net[0].parameters()))

    assert named(vet.findings) == {"frozen-parameters": "SURE"}
    assert "net.1" in vet.findings[0].message


def test_the_callback_keeps_no_tensor(tmp_path):
    vet = ZooVet()
    model = train(tmp_path, Classifier(), vet=vet)
    weight = weakref.ref(next(model.parameters()))

    del model
    gc.collect()

    assert weight() is None
    assert vet.records
