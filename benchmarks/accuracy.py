"""Test accuracy and seconds of the probe and of full fine-tuning: python -m benchmarks.accuracy DATA [--time 20m]

DATA needs a test split; nothing of it is used for any choice.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import zoo


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data")
    parser.add_argument("--model", default="efficientnet_lite0")
    parser.add_argument("--time", default="20m", help="of full fine-tuning")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    print("recipe    seconds  test accuracy [95 % interval]  images")
    with tempfile.TemporaryDirectory() as folder:
        for recipe, choices in (("probe", {"recipe": "probe"}), ("finetune", {"time": arguments.time})):
            started = time.perf_counter()
            run = zoo.finetune(
                arguments.model, arguments.data, out=Path(folder) / recipe, seed=arguments.seed, **choices
            )
            figures = run.predictions("test").scores()
            low, high = figures.interval
            seconds = time.perf_counter() - started
            print(f"{recipe:8} {seconds:8.0f}  {figures.accuracy:.3f} [{low:.3f}, {high:.3f}]  {figures.count}")


if __name__ == "__main__":
    main()
