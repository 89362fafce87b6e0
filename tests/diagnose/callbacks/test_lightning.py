"""The callback in trainings by Lightning's ``Trainer`` itself."""

from __future__ import annotations

import gc
import logging
import weakref

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader

from tests.diagnose.callbacks.worlds import hookless, items, named, network, same

lightning = pytest.importorskip("lightning.pytorch")

from diagnose.callbacks.lightning import ZooVet  # noqa: E402 - needs lightning

pytestmark = pytest.mark.filterwarnings(
    "ignore:.*does not have many workers",
    "ignore:.*LeafSpec.*:FutureWarning",  # Lightning asks torch in a way of yesterday
)


class Classifier(lightning.LightningModule):
    """Automatic optimization; what trains, and whether gradients are reset, is the test's."""

    def __init__(self, *, only: str = "", resets: bool = True) -> None:
        super().__init__()
        self.net, self.only, self.resets = network(), only, resets

    def training_step(self, batch, _index):
        inputs, labels = batch
        return nn.functional.cross_entropy(self.net(inputs), labels)

    def configure_optimizers(self):
        return torch.optim.SGD(
            [p for n, p in self.named_parameters() if n.startswith(self.only)], lr=0.05, momentum=0.9
        )

    def optimizer_zero_grad(self, epoch, batch_idx, optimizer) -> None:
        if self.resets:
            super().optimizer_zero_grad(epoch, batch_idx, optimizer)


class ByHand(Classifier):
    """Manual optimization, where the person resets, goes back and steps."""

    def __init__(self, *, resets: bool = True) -> None:
        super().__init__(resets=resets)
        self.automatic_optimization = False

    def training_step(self, batch, index):
        optimizer = self.optimizers()
        if self.resets:
            optimizer.zero_grad()
        self.manual_backward(super().training_step(batch, index))
        optimizer.step()


def train(tmp_path, model, *, vet=None, **arguments):
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    lightning.seed_everything(0, verbose=False)
    trainer = lightning.Trainer(
        max_epochs=4,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=tmp_path,
        callbacks=[] if vet is None else [vet],
        **arguments,
    )
    trainer.fit(model, DataLoader(items(), batch_size=8, shuffle=True))
    return model


@pytest.mark.parametrize(
    "arguments",
    [{}, {"accumulate_grad_batches": 4}, {"precision": "bf16-mixed"}, {"gradient_clip_val": 0.1}],
    ids=["plain", "accumulation", "bfloat16", "clipping"],
)
def test_a_healthy_training_is_silent_and_the_same_to_the_last_bit(tmp_path, arguments):
    said: list[str] = []
    vet = ZooVet(show=said.append)

    watched = train(tmp_path, Classifier(), vet=vet, **arguments)
    plain = train(tmp_path, Classifier(), **arguments)

    assert vet.findings == ()
    updates = 8 if "accumulate_grad_batches" in arguments else 32
    assert said == [f"zoovet looked at {updates} of {updates} updates and found nothing amiss."]
    assert all(0 < r.loss < 5 and r.gradient_norm > 0 and r.training for r in vet.records)
    assert same(watched, plain)
    assert hookless(watched)


def test_manual_optimization_is_watched_too(tmp_path):
    sound, faulty = ZooVet(), ZooVet()

    train(tmp_path, ByHand(), vet=sound)
    train(tmp_path, ByHand(resets=False), vet=faulty)

    assert sound.findings == ()
    assert len(sound.records) == 32
    assert named(faulty.findings) == {"missing-zero-grad": "SURE"}


def test_a_backbone_frozen_on_purpose_is_silent(tmp_path):
    switched, left_out = ZooVet(), ZooVet()
    frozen = Classifier()
    frozen.net[0].requires_grad_(requires_grad=False)

    train(tmp_path, frozen, vet=switched)
    train(tmp_path, Classifier(only="net.1"), vet=left_out)

    assert switched.findings == left_out.findings == ()


def test_gradients_that_are_never_reset_are_found_and_shown(tmp_path):
    said: list[str] = []
    vet = ZooVet(show=said.append)

    train(tmp_path, Classifier(resets=False), vet=vet)

    assert named(vet.findings) == {"missing-zero-grad": "SURE"}
    assert "missing-zero-grad: Steps that began with an old gradient: 100% of the samples." in said[0]


def test_a_head_that_the_optimizer_lacks_is_found(tmp_path):
    vet = ZooVet()

    train(tmp_path, Classifier(only="net.0"), vet=vet)

    assert named(vet.findings) == {"frozen-parameters": "SURE"}
    assert "net.1" in vet.findings[0].message


def test_an_exception_leaves_no_hook(tmp_path):
    class Broken(Classifier):
        def training_step(self, batch, index):
            if index == 3:
                raise ZeroDivisionError
            return super().training_step(batch, index)

    said: list[str] = []
    model = Broken()

    with pytest.raises(ZeroDivisionError):
        train(tmp_path, model, vet=ZooVet(show=said.append))

    assert hookless(model)
    assert said == []


def test_the_callback_keeps_no_tensor(tmp_path):
    vet = ZooVet()
    model = train(tmp_path, Classifier(), vet=vet)
    weight = weakref.ref(next(model.parameters()))

    for method in ("log", "log_dict"):
        vars(vet).pop(method)  # Lightning hangs the module's own on every callback
    del model
    gc.collect()

    assert weight() is None
    assert vet.records
