"""The pipeline, and the commands that run it and read what it wrote."""
