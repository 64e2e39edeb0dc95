"""`bench` says for each number a paper prints whether it holds, here, now."""

__version__ = "0.1.0"
