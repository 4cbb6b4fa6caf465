"""The shipped configuration and its loader."""
