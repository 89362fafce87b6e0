"""``python -m cli``: the same as ``zoo``."""

from cli.main import main

main()
