"""Other people's tools, each called in one place; what they import is installed in an environment of its own."""
