"""Whether this kernel holds the fence around files, asked of a process that may be fenced in for good."""

HAS_FENCE = "import sys; from diagnose.sandbox.fence import confine_files; sys.exit(not confine_files([]))"
