"""Top-5 accuracy: whether the true class is among the five with the largest logits.

Says nothing of five classes or fewer, where every image would be right.
"""

from torch import Tensor

from bench.registry import evaluations

MANY = 5


@evaluations.register("test_top5_pct")
def top5(logits: Tensor, labels: Tensor) -> float | None:
    """logits float32 (N, C) and labels int64 (N,) -> percent; None where C is 5 or less.

    An image with a logit that is not finite is not right, as for top-1.
    """
    if logits.shape[1] <= MANY:
        return None
    found = (logits.topk(MANY).indices == labels[:, None]).any(1) & logits.isfinite().all(1)
    return 100 * float(found.double().mean())
