"""Training: `loop` is the only place with an optimiser; beside it what a batch and a step go through."""
