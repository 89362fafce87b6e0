"""The fixtures of the zoo serve its commands too."""

from tests.zoo.conftest import caches, no_network

__all__ = ["caches", "no_network"]
