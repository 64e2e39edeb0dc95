"""The processes that are timed: one for each side of a round, in pairs, taking turns."""
