"""Every error that a person can cause.

ZooError                  what happened, and what to do about it
├── OptionError           an argument is wrong (exit status 2; all others 1)
├── DataError             the images or the labels cannot be used
├── ModelError            a model cannot be had
│   ├── UnknownModelError     no such name
│   ├── HubError              the hub cannot be reached, or refuses
│   └── WeightsError          a weights file is damaged or does not fit
├── RunError              a run folder is missing, damaged or from another version
├── DeviceError           the device asked for is absent, or out of memory
├── StorageError          the disk is full or may not be written
└── DependencyError       an optional package is not installed

Stopped                   Ctrl-C, a KeyboardInterrupt: what is kept, and the command to go on with (exit status 130)
"""

from __future__ import annotations


class ZooError(Exception):
    """Something a person can mend.

    Args:
        what: What happened and what was expected, one sentence or two.
        remedy: What to do about it; names the command where there is one.
    """

    def __init__(self, what: str, *, remedy: str) -> None:
        super().__init__(f"{what} {remedy}" if remedy else what)
        self.what = what
        self.remedy = remedy


class Stopped(KeyboardInterrupt):
    """A person stopped the work with Ctrl-C, or a scheduler with SIGTERM.

    Args:
        what: What is kept.
        remedy: The command to go on with.
    """

    def __init__(self, what: str, *, remedy: str) -> None:
        super().__init__(f"{what} {remedy}")
        self.what = what
        self.remedy = remedy


class OptionError(ZooError):
    """An argument is wrong."""


class DataError(ZooError):
    """The images or the labels cannot be used."""


class ModelError(ZooError):
    """A model cannot be had."""


class UnknownModelError(ModelError):
    """No model goes by that name."""


class HubError(ModelError):
    """The hub cannot be reached, or refuses."""


class WeightsError(ModelError):
    """A weights file is damaged or does not fit its model."""


class RunError(ZooError):
    """A run folder is missing, damaged or from another version."""


class DeviceError(ZooError):
    """The device asked for is absent, or out of memory."""


class StorageError(ZooError):
    """The disk is full, or may not be written."""


class DependencyError(ZooError):
    """An optional package is not installed."""

    @classmethod
    def missing(cls, package: str, *, extra: str, purpose: str) -> DependencyError:
        """The error for an absent extra: names the package, what for, and the command that installs it."""
        return cls(f"{purpose} needs the package {package!r}.", remedy=f"Run: pip install 'zoovet[{extra}]'")
