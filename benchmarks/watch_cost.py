"""What ``diagnose.watch`` costs a training step at its default sampling: python benchmarks/watch_cost.py

Prints the ratio of the processor time with and without it, of the least of 15 interleaved repeats.
"""

from __future__ import annotations

import time

import torch
from torch import nn

from diagnose.watch import watch


def ratio(repeats: int = 15, steps: int = 50) -> float:
    """Processor time of watched steps over that of plain ones."""
    torch.set_num_threads(1)
    model = nn.Sequential(nn.Conv2d(3, 16, 3), nn.BatchNorm2d(16), nn.ReLU(), nn.Flatten(), nn.Linear(16 * 900, 10))
    inputs, targets = torch.randn(16, 3, 32, 32), torch.randint(0, 10, (16,))
    optimizer, loss_fn = torch.optim.SGD(model.parameters(), lr=0.01), nn.CrossEntropyLoss()

    def train() -> float:
        started = time.process_time()
        for _ in range(steps):
            optimizer.zero_grad()
            loss_fn(model(inputs), targets).backward()
            optimizer.step()
        return time.process_time() - started

    train()
    plain, watched = [], []
    for _ in range(repeats):
        plain.append(train())
        with watch(model, optimizer, loss_fn):
            watched.append(train())
    # Whatever else the machine does only ever adds: the least of each is its own cost.
    return min(watched) / min(plain)


if __name__ == "__main__":
    print(f"watched / plain: {ratio():.3f}")
