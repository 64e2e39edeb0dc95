"""The words that workshop and office share: rows, environments, metrics, numbers as a reader writes them."""
