"""The ``zoo`` command: finds the commands, and turns errors into messages in one place."""

from __future__ import annotations

import gc
import importlib
import os
import pkgutil
import shlex
import sys

import typer
from typer.core import TyperGroup

import cli.commands


class _Commands(TyperGroup):
    """The commands; of one that is stopped with Ctrl-C it is said how to go on, where typer would say nothing."""

    def invoke(self, ctx: typer.Context) -> object:  # type: ignore[override]  # a typer.Context always
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as stop:
            _tell_stopped(stop)
            raise typer.Exit(_STOPPED) from stop


# Objects made between two looks for garbage. Python's own 700 cost a command half a second while PyTorch is imported.
_ALLOCATIONS = 500_000
_STOPPED = 130  # as shells count a process that SIGINT ended: 128 + 2

app = typer.Typer(
    name="zoo",
    cls=_Commands,
    help="Fine-tune image models on your own pictures, and learn why it does not work: the data or the algorithm.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def _root() -> None:
    """Keeps ``zoo`` a group of commands, however few there are."""


def _add_commands() -> None:
    """Every module of ``cli.commands`` is a command: its function ``command``, under the module's name."""
    for module in pkgutil.iter_modules(cli.commands.__path__):
        name = module.name.rstrip("_").replace("_", "-")
        app.command(name=name, no_args_is_help=False)(importlib.import_module(f"cli.commands.{module.name}").command)


def main() -> None:
    """Run ``zoo``. Exit status 1 for an error, 2 for wrong usage, 130 after Ctrl-C."""
    from zoo.ranks import is_main

    gc.set_threshold(_ALLOCATIONS)
    if not is_main():
        sys.stdout = open(os.devnull, "w")  # noqa: PTH123, SIM115 - of several processes (torchrun) one prints
    _add_commands()
    sys.exit(_run())


def _run() -> int:
    try:
        status = app(standalone_mode=True)
    except KeyboardInterrupt as stop:  # before a command began
        _tell_stopped(stop)
        return _STOPPED
    except BrokenPipeError:  # `zoo list | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        from zoo.errors import OptionError, ZooError

        if isinstance(error, OSError) and error.filename is not None:  # a file that was named among the options
            _tell(
                f"Error: {error.filename} cannot be used: {error.strerror}.",
                "Check its name, and its permissions and those of the folders above it (ls -ld).",
            )
            return 1
        if not isinstance(error, ZooError):
            raise
        _tell(f"Error: {error.what}", error.remedy)
        return 2 if isinstance(error, OptionError) else 1
    return int(status or 0)


def _tell_stopped(stop: KeyboardInterrupt) -> None:
    from zoo.errors import Stopped
    from zoo.ranks import is_main

    if isinstance(stop, Stopped):
        what, remedy = stop.what, stop.remedy
    else:
        what = "Stopped; what was found out about the images is kept."
        remedy = f"Go on with: {shlex.join(['zoo', *sys.argv[1:]])}"
    if is_main():
        _tell(f"\n{what}", remedy)


def _tell(what: str, remedy: str) -> None:
    print(what, file=sys.stderr)  # noqa: T201
    if remedy:
        print(f"       {remedy}", file=sys.stderr)  # noqa: T201
