"""Known-good algorithms, written exactly as a person hands over theirs: one file each, every part defined."""
