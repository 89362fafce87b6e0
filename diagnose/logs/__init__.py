"""Training logs of every usual kind, read into one record: :func:`diagnose.logs.reading.read_log`."""
