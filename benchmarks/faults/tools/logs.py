"""Tools that look at the log of a training: what they find worth a warning."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

Issues = dict[str, float]


def runmedic(log: Path) -> Issues:
    """``runmedic diagnose LOG --json``; criticals and warnings."""
    command = [sys.executable, "-m", "runmedic", "diagnose", str(log), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    found = [finding for run in json.loads(done.stdout) for finding in run["findings"]]
    return {finding["check"]: 1.0 for finding in found if finding["severity"] != "info"}


TOOLS: dict[str, tuple[str, Callable[[Path], Issues]]] = {"runmedic": ("runmedic", runmedic)}
