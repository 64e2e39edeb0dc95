"""A suite becomes cases: one for each thing to measure, each with an id that is the question itself."""
