"""Training: `loop` has the epochs and `step` the only optimiser; beside them what a batch goes through."""
