"""Expected calibration error: how far confidence and accuracy lie apart (Guo et al. 2017, arXiv 1706.04599, eq. 3).

Fits no temperature and draws no diagram.
"""

import torch
from torch import Tensor

from bench.registry import evaluations

BINS = 15  # of equal width over 0 to 1, each with its upper end, as in the paper's tables


@evaluations.register("test_ece_pct")
def calibration_error(logits: Tensor, labels: Tensor) -> float:
    """logits float32 (N, C) and labels int64 (N,) -> percent: the mean gap of 15 bins, weighted by their images."""
    confidence, predicted = logits.double().softmax(1).max(1)
    gap = (predicted == labels).double() - confidence
    edges = torch.linspace(0, 1, BINS + 1, dtype=torch.float64)[1:-1]
    sums = torch.zeros(BINS, dtype=torch.float64).index_add_(0, torch.bucketize(confidence, edges), gap)
    return 100 * float(sums.abs().sum()) / len(labels)
