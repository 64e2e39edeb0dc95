"""What several measures share: the model of a case, counters, stopwatch, live bytes, weights."""
