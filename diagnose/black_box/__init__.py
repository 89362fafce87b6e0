"""A person's training as a command: run on copies, judged by what it writes. No interface is asked of it."""
