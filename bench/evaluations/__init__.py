"""Numbers worked out from the logits and labels of a test set, one file each under the name of its metric.

Runs no model and reads no data: it is called after a training or an evaluation, with what these found.
"""
