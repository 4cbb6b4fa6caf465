"""Measurements of the whole program: each module prints one table."""
