"""The tables of `docs/prediction.md`: the error on every device, precision and layout, and on the published boards.

Leaves nothing out that misses.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from bench.cost.devices import device
from bench.cost.efficiencies import Efficiencies
from bench.cost.prediction import Conditions
from bench.cost.work import Account
from bench.prediction.fit import collected, predicted
from bench.prediction.published import Point
from bench.prediction.validation import Tested, grouped, impossible

FEW = 30  # points, below which each is printed and no quantile is


def tables(
    results: Sequence[Tested], points: Sequence[Point], known: Mapping[str, Account], found: Efficiencies
) -> str:
    """All tables as Markdown."""
    head = ["| device | step | precision, layout | families | models | median error | 90th percentile | bias |",
            "|---|---|---|---|--:|--:|--:|--:|"]  # fmt: skip
    rows = [_row(one) for one in results if len(one.points) >= FEW]
    boards = [line for one in _boards(points, known, found) for line in one]
    fast = impossible(points, known)
    told = "; ".join(f"{each.model} at {each.image_size} pixels on {device(each.device).title}" for each in fast)
    return "\n".join([*head, *rows, "", *_BOARDS, *boards, "", f"Faster than their device can be: {told or 'none'}."])


def _row(one: Tested) -> str:
    point, errors = one.points[0], one.errors
    seen = "fitted device, families kept out" if one.of_fit else "kept out, device too"
    bias = float(np.exp(np.median(np.log(one.predicted / one.seconds)))) - 1
    how = f"{point.conditions.precision}, {point.conditions.layout.replace('_', ' ')}"
    how += ", compiled" if point.conditions.compiled else ""
    step = "training" if point.training else "inference"
    return (
        f"| {device(point.device).title} | {step} | {how} | {seen} | {len(one.points)} | {np.median(errors):.1%} | "
        f"{np.quantile(errors, 0.9):.1%} | {bias:+.1%} |"
    )


_BOARDS = ["| device | model | step | precision | predicted / published at batch | with the launch cost of batch 1 |",
           "|---|---|---|---|---|---|"]  # fmt: skip


def _boards(points: Sequence[Point], known: Mapping[str, Account], found: Efficiencies) -> list[list[str]]:
    """Each published board by itself: batch by batch."""
    lines = []
    for some in grouped([each for each in points if each.parameters is None]).values():
        for model in dict.fromkeys(each.model for each in some):
            of_model = [each for each in some if each.model == model]
            if (set_ := collected(of_model, known)) is not None:
                ratios = predicted(set_, found) / set_.seconds
                given = _with_launch(of_model, known, found)
                first = of_model[0]
                step = "training" if first.training else "inference"
                lines.append([
                    f"| {device(first.device).title} | {model} | {step} | {first.conditions.precision} | "
                    f"{_by_batch(of_model, ratios)} | {given} |"
                ])  # fmt: skip
    return lines


def _by_batch(points: Sequence[Point], ratios: Iterable[float]) -> str:
    return ", ".join(f"{each.conditions.batch}: {ratio:.2f}" for each, ratio in zip(points, ratios, strict=True))


def _with_launch(points: Sequence[Point], known: Mapping[str, Account], found: Efficiencies) -> str:
    """The same where the host's launch cost is what the step of one image takes, shared by its launches."""
    first = points[0]
    if first.training or first.conditions.batch != 1 or first.account not in known:
        return ""
    launch_s = first.seconds / known[first.account].launches()
    given = [replace(each, conditions=_launched(each.conditions, launch_s)) for each in points]
    set_ = collected(given, known)
    assert set_ is not None  # the same accounts as above
    return f"{1e6 * launch_s:.0f} µs: {_by_batch(points, predicted(set_, found) / set_.seconds)}"


def _launched(conditions: Conditions, launch_s: float) -> Conditions:
    return replace(conditions, launch_s=launch_s)
