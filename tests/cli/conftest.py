"""The fixtures of the zoo serve its commands too."""

from tests.zoo.conftest import caches, hub_server, no_network

__all__ = ["caches", "hub_server", "no_network"]
