"""Faults of the data, a module a topic."""
