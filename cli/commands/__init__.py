"""One command a module: its function ``command`` becomes ``zoo <module name>``.

Modules here import only typer and ``cli.options`` at the top, everything else inside the function, so that
``zoo --help`` answers at once.
"""
