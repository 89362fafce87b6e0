"""The callback in trainings by fastai's ``Learner`` itself."""

from __future__ import annotations

import warnings
from functools import partial

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader

from tests.diagnose.callbacks.worlds import hookless, items, named, network, same

pytest.importorskip("fastai")

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # fastai sets an option that pandas no longer has
    import fastai.callback.schedule  # noqa: F401 - brings fine_tune and lr_find
    from fastai.callback.core import Callback
    from fastai.callback.training import GradientAccumulation, GradientClip
    from fastai.data.core import DataLoaders
    from fastai.learner import Learner
    from fastai.optimizer import OptimWrapper

from diagnose.callbacks.fastai import ZooVet


class NoReset(Callback):
    """A person's callback that takes the reset of gradients away."""

    def before_fit(self):
        self.learn.opt.zero_grad = lambda: None


def halves(model):
    return [list(model[0].parameters()), list(model[1].parameters())]


def learn(*, cbs=(), model=None, **arguments):
    model = network() if model is None else model
    batches = [DataLoader(items(), batch_size=8), DataLoader(items(16), batch_size=8)]
    return Learner(
        DataLoaders(*batches, device="cpu"), model, loss_func=nn.CrossEntropyLoss(), cbs=list(cbs), **arguments
    )


def fit(trained, epochs: int = 4):
    torch.manual_seed(0)
    with trained.no_bar(), trained.no_logging():
        trained.fit(epochs, 0.01)
    return trained.model


@pytest.mark.parametrize("more", [(), (partial(GradientAccumulation, 32),), (partial(GradientClip, 0.1),)])
@pytest.mark.parametrize("optimizer", [None, partial(OptimWrapper, opt=torch.optim.SGD)], ids=["fastai", "torch"])
def test_a_healthy_training_is_silent_and_the_same_to_the_last_bit(more, optimizer):
    said: list[str] = []
    vet = ZooVet(show=said.append)
    chosen = {} if optimizer is None else {"opt_func": optimizer}

    watched = fit(learn(cbs=[vet, *(make() for make in more)], **chosen))
    plain = fit(learn(cbs=[make() for make in more], **chosen))

    assert vet.findings == ()
    assert "found nothing amiss" in said[0]
    assert all(0 < r.loss < 5 and r.gradient_norm > 0 and r.training for r in vet.records)
    assert same(watched, plain)
    assert hookless(watched)


def test_fine_tuning_in_two_stages_is_silent():
    said: list[str] = []
    trained = learn(cbs=[ZooVet(show=said.append)], splitter=halves)

    with trained.no_bar(), trained.no_logging():
        trained.fine_tune(2)

    assert len(said) == 2
    assert all("found nothing amiss" in words for words in said)


def test_gradients_that_are_never_reset_are_found_and_shown():
    said: list[str] = []
    vet = ZooVet(show=said.append)

    fit(learn(cbs=[vet, NoReset()]))

    assert named(vet.findings) == {"missing-zero-grad": "SURE"}
    assert "missing-zero-grad: Steps that began with an old gradient: 100% of the samples." in said[0]


def test_a_head_that_the_optimizer_lacks_is_found():
    vet = ZooVet()

    fit(learn(cbs=[vet], splitter=lambda model: [list(model[0].parameters())]))

    assert named(vet.findings) == {"frozen-parameters": "SURE"}


@pytest.mark.filterwarnings("ignore:numpy.core is deprecated:DeprecationWarning")  # in what fastai saved
def test_a_search_for_a_learning_rate_is_not_watched(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    said: list[str] = []
    trained = learn(cbs=[ZooVet(show=said.append)], path=tmp_path)

    with trained.no_bar(), trained.no_logging():
        trained.lr_find(num_it=12, show_plot=False)

    assert said == []
