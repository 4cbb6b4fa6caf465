"""The stages of the pipeline: one verb a file, a pure function above its PTransform."""
