"""Probes of a person's algorithm: one file a family of causes. Each is registered in ``ALGORITHM_CHECKS``."""
