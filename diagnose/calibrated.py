"""Chosen on the development half of the fault benchmark: written by ``python -m benchmarks.faults.calibrate``."""

NEGLIGIBLE = 0.01  # accuracy under which a cause is a remark, from 70 cases
