"""Commands as a person types them, in this process."""

from __future__ import annotations

from typer.testing import CliRunner, Result

from cli import main

if not main.app.registered_commands:
    main._add_commands()


def typed(*arguments: object) -> Result:
    """What ``zoo`` with these arguments printed, and how it ended."""
    return CliRunner().invoke(main.app, [str(argument) for argument in arguments])
