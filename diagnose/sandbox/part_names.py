"""What the parts of an algorithm are called. Needs no torch."""

from __future__ import annotations

#: Part -> the name that a file defines it under.
PARTS = {
    "model": "build_model",
    "transform": "build_transform",
    "loss": "build_loss",
    "optimizer": "build_optimizer",
    "scheduler": "build_scheduler",
    "train_step": "train_step",
    "evaluate": "evaluate",
    "loader": "build_loader",
    "epochs": "EPOCHS",
    "batch_size": "BATCH_SIZE",
}
