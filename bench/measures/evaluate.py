"""Published weights on a test set: top-1, top-5, loss, calibration and every class, image by image. Trains nothing.

Chooses no preparation of images: a suite states it, or names the configuration that it is taken from.
"""

from collections.abc import Iterator
from dataclasses import replace

import torch

from bench.data.held_out import HeldOut, held_out
from bench.errors import MeasurementError
from bench.execution.context import Context, Progress
from bench.measures.instruments.fetched import Fetched, fetched
from bench.measures.instruments.from_logits import evaluated, try_out
from bench.measures.instruments.model import LAYOUTS, PRECISIONS, build
from bench.measures.instruments.parameters import cast
from bench.measures.instruments.preparation import Prepared, prepared
from bench.measures.instruments.state_dicts import put_into, read
from bench.measures.instruments.tested import Answers, Running, answers
from bench.plan.case import Case, plain
from bench.records.measurement import DataFacts, Reading
from bench.records.packed import packed_bits
from bench.registry import measures

BATCH = 64


@measures.register("evaluate")
def evaluate(case: Case, context: Context, *, workers: int | None = None) -> Iterator[DataFacts | Reading]:
    """Classify every image of the case's test set with its weights.

    Yields `test_top1_pct` (its `detail` says which images were right, its `reason` how they were prepared),
    `test_loss`, `class_top1_pct` for each class that has images, what the evaluations say of the logits, and
    `evaluate_fps`.

    Args:
        workers: processes that read and prepare images; as many as there are threads when left out.

    Raises:
        MeasurementError: no weights, no data, or they and the model do not fit together.
        DataAbsent, DataCorrupt: as weights and data set say.
    """
    if case.weights is None or case.dataset is None:
        raise MeasurementError(f"evaluate of '{case.model}' needs weights and a data set")
    source = fetched(case)
    data = held_out(case.dataset, context.data_dir, plain(case.dataset_args))
    how = prepared(plain(case.weights)["preprocess"], data)
    _check(case, data, how)
    yield DataFacts(data.sha256, 0, len(data.labels), source.sha256)
    try_out(len(data.labels), case.num_classes)
    print(f"{case.weights_key}: {source.label}, sha256 {source.sha256[:12]}…; images: {how.words}")
    model = loaded(case, source, context.device)
    total = len(data.labels)
    run = Running(
        context.device, PRECISIONS[case.precision], LAYOUTS[case.layout], case.batch_size or BATCH,
        max(1, context.threads) if workers is None else workers, context.clock,
        lambda done: context.progress(Progress(done, total, "images")),
    )  # fmt: skip
    found = answers(model, data, how, run)
    yield from readings(found, data, how)
    if found.logits is not None:
        yield from evaluated(found.logits, torch.from_numpy(data.labels))
    yield Reading("evaluate_fps", total / max(found.seconds, 1e-9))


def loaded(case: Case, source: Fetched, device: str) -> torch.nn.Module:
    """The case's model with the weights, in its precision and layout, on the device."""
    weights = case.weights or {}
    model = build(replace(case, precision="float32", compiled=False), device="cpu")
    tensors = read(source.path, weights.get("entry"), weights.get("strip"))
    put_into(model, tensors, source.label)
    in_precision = cast(model, PRECISIONS[case.precision])
    there: torch.nn.Module = in_precision.to(device=device, memory_format=LAYOUTS[case.layout])  # type: ignore[call-overload]
    if case.compiled:
        there.compile()
    return there


def readings(found: Answers, data: HeldOut, how: Prepared) -> Iterator[Reading]:
    """What follows from the answers to all images, and to those of each class."""
    right, total = int(found.right.sum()), len(data.labels)
    detail = packed_bits(found.right.tolist())
    yield Reading("test_top1_pct", 100 * right / total, reason=how.words, detail=detail)
    bad = int(found.losses.isfinite().logical_not().sum())
    if bad:
        reason = f"loss not finite in {bad} of {total} test images"
        yield Reading("test_loss", None, status="failed", reason=reason)
    else:
        yield Reading("test_loss", float(found.losses.mean()))
    labels = torch.from_numpy(data.labels)
    counts = labels.bincount(minlength=len(data.classes))
    hits = labels[found.right].bincount(minlength=len(data.classes))
    for name, count, hit in zip(data.classes, counts.tolist(), hits.tolist(), strict=True):
        if count:
            yield Reading("class_top1_pct", 100 * hit / count, part=name)


def _check(case: Case, data: HeldOut, how: Prepared) -> None:
    if len(data.classes) != case.num_classes:
        lists = " A list of all classes in their order is given as classes = 'FILE'" * (case.dataset == "image_folder")
        raise MeasurementError(f"'{data.name}' has {len(data.classes)} classes, the case {case.num_classes}.{lists}")
    size = how.size or int(data.images.shape[1])  # type: ignore[union-attr]
    if size != case.image_size:
        raise MeasurementError(
            f"images are prepared at {size} px ({how.origin}), and the model '{case.model}' is built for "
            f"{case.image_size}: write image_size = {size} there, or another preprocess"
        )
