"""Text becomes a suite: what a file may say, what its parts may name, and every problem in it at once."""
