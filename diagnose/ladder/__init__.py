"""The rungs beyond the data, one file each: what is read of what the person handed over."""
