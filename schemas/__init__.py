"""The types that flow through the pipeline and the tables of the lake."""
