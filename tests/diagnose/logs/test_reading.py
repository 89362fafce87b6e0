"""Logs as the frameworks write them, read into one record."""

from __future__ import annotations

import json
import math
import sys

import pytest

from diagnose.logs.reading import read_log
from zoo.errors import DataError, DependencyError
from zoo.job import Row, write_rows

KERAS = "epoch,accuracy,learning_rate,loss,val_accuracy,val_loss\n0,0.5,0.001,1.2,0.45,1.3\n1,0.7,0.001,0.8,0.6,1.0\n"
FASTAI = "epoch,train_loss,valid_loss,error_rate,accuracy,time\n0,1.2,1.3,0.55,0.45,00:12\n1,0.8,1.0,0.4,0.6,00:11\n"
LIGHTNING = (
    "epoch,lr-Adam,step,train_loss_epoch,train_loss_step,val_acc,val_loss\n"
    "0,,9,,1.5,,\n0,,19,,1.1,,\n0,,19,,,0.45,1.3\n0,,19,1.2,,,\n1,,29,,0.9,,\n1,,39,,0.7,,\n1,,39,,,0.6,1.0\n1,,39,0.8,,,\n"
)
TIMM = "epoch,train_loss,eval_loss,eval_top1,eval_top5,lr\n0,1.2,1.3,45.0,90.0,0.001\n1,0.8,1.0,60.0,95.0,0.0005\n"
ULTRALYTICS = (
    "epoch, time, train/loss, metrics/accuracy_top1, metrics/accuracy_top5, val/loss, lr/pg0\n"
    "1,10,1.2,0.45,0.9,1.3,0.001\n2,20,0.8,0.6,0.95,1.0,0.0005\n"
)
PLAIN = "Train Loss;Val Loss;Val Accuracy (%)\n1.2;1.3;45%\n0.8;1.0;60%\n"


@pytest.mark.parametrize(
    "text",
    [KERAS, FASTAI, LIGHTNING, TIMM, ULTRALYTICS, PLAIN],
    ids=["keras", "fastai", "lightning", "timm", "yolo", "plain"],
)
def test_the_csv_of_every_framework_gives_the_same_curves(tmp_path, text):
    path = tmp_path / "log.csv"
    path.write_text(text, encoding="utf-8")
    curves = read_log(path)

    assert curves.train_loss.values == (1.2, 0.8)
    assert curves.validation_loss.values == (1.3, 1.0)
    assert curves.validation_accuracy.values == pytest.approx((0.45, 0.6))


def test_kerass_bare_accuracy_is_that_of_the_training_pictures(tmp_path):
    (tmp_path / "log.csv").write_text(KERAS)
    curves = read_log(tmp_path / "log.csv")

    assert curves.train_accuracy.values == (0.5, 0.7)
    assert curves.learning_rate.values == (0.001, 0.001)
    assert curves.train_loss.at == (0, 1)
    assert curves.unit == "epoch"


def test_an_error_rate_alone_is_turned_into_an_accuracy(tmp_path):
    (tmp_path / "log.csv").write_text("epoch,train_loss,valid_loss,error_rate\n0,1,1,0.25\n1,0.8,0.9,0.2\n")

    assert read_log(tmp_path / "log.csv").validation_accuracy.values == pytest.approx((0.75, 0.8))


def test_a_loss_that_is_not_a_number_is_kept_and_a_blank_is_not(tmp_path):
    (tmp_path / "log.csv").write_text("epoch,train_loss,val_loss\n0,1.0,\n1,nan,2.0\n")
    curves = read_log(tmp_path / "log.csv")

    assert math.isnan(curves.train_loss.values[1])
    assert curves.validation_loss.values == (2.0,)


def test_a_trainer_state_is_read_by_step(tmp_path):
    history = [
        {"epoch": 1.0, "step": 50, "loss": 1.2, "learning_rate": 5e-5, "grad_norm": 2.0},
        {"epoch": 1.0, "step": 50, "eval_loss": 1.3, "eval_accuracy": 0.45, "eval_runtime": 3.0},
        {"epoch": 2.0, "step": 100, "loss": 0.8, "learning_rate": 0.0},
        {"epoch": 2.0, "step": 100, "eval_loss": 1.0, "eval_accuracy": 0.6},
        {"epoch": 2.0, "step": 100, "train_loss": 1.0, "train_runtime": 60.0},
    ]
    folder = tmp_path / "out" / "checkpoint-100"
    folder.mkdir(parents=True)
    (folder / "trainer_state.json").write_text(json.dumps({"log_history": history}))
    curves = read_log(tmp_path / "out")

    assert (curves.train_loss.at, curves.train_loss.values) == ((50, 100), (1.2, 0.8))
    assert curves.validation_accuracy.values == (0.45, 0.6)
    assert curves.learning_rate.values == (5e-5, 0.0)
    assert curves.unit == "step"


def test_our_own_metrics_are_read_without_the_probe_and_the_soup(tmp_path):
    rows = [
        Row(name="probe", val_loss=0.9, val_accuracy=0.7),
        Row(name="epoch", val_loss=1.3, val_accuracy=0.45, epoch=1, step=10, learning_rate=1e-3, train_loss=1.2),
        Row(name="epoch", val_loss=1.0, val_accuracy=0.6, epoch=2, step=20, learning_rate=0.0, train_loss=0.8),
        Row(name="soup", val_loss=0.8, val_accuracy=0.8, epoch=2, step=20, shipped=True),
    ]
    write_rows(tmp_path, rows)

    assert read_log(tmp_path).validation_loss.values == (1.3, 1.0)


def test_tensorboards_events_are_read_from_a_folder_of_folders(tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.summary.writer.event_file_writer import EventFileWriter

    for folder, values in (("train", (1.2, 0.8)), ("validation", (1.3, 1.0))):
        writer = EventFileWriter(str(tmp_path / folder))
        for step, value in enumerate(values):
            summary = Summary(value=[Summary.Value(tag="epoch_loss", simple_value=value)])
            writer.add_event(Event(step=step, wall_time=float(step), summary=summary))
        writer.close()
    curves = read_log(tmp_path)

    assert curves.train_loss.values == pytest.approx((1.2, 0.8))
    assert curves.validation_loss.values == pytest.approx((1.3, 1.0))


def test_events_without_tensorboard_are_an_error_with_the_command_that_installs_it(tmp_path, monkeypatch):
    (tmp_path / "events.out.tfevents.1").write_bytes(b"")
    monkeypatch.setitem(sys.modules, "tensorboard.backend.event_processing.event_accumulator", None)

    with pytest.raises(DependencyError, match=r"zoovet\[trackers\]"):
        read_log(tmp_path / "events.out.tfevents.1")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("log.csv", "epoch,memory\n0,3\n"),
        ("log.csv", ""),
        ("log.csv", "epoch,loss\n"),
        ("log.csv", "\0\0\0"),
        ("trainer_state.json", "{}"),
        ("trainer_state.json", "no json"),
        ("trainer_state.json", '{"log_history": [{"loss": 1}]}'),
    ],
)
def test_what_is_no_log_is_an_error_that_says_what_is(tmp_path, name, content):
    (tmp_path / name).write_text(content)

    with pytest.raises(DataError, match=r"csv|CSV|trainer_state"):
        read_log(tmp_path / name)


def test_an_empty_folder_is_an_error(tmp_path):
    with pytest.raises(DataError, match="no log"):
        read_log(tmp_path)
