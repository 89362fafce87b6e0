"""Where a person's algorithm runs: a process of its own, on copies, with limits.

The parent (``session``) asks for experiments; the worker (``worker``) loads the algorithm file, runs them and answers
with measurements (``measurements``): plain numbers, which the probes turn into findings. Nothing of the person's code
is ever imported by the parent.
"""
