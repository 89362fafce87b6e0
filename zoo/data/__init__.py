"""A person's images and labels: where they come from, how they are split, and what is wrong with a file."""
