"""`bench predict`: models and suites on devices that are not here, as rows with their label and interval.

Measures nothing and keeps nothing.
"""

import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from bench.commands.wish import PredictWish
from bench.errors import UsageError
from bench.plan.case import Case

if TYPE_CHECKING:
    from bench.cost.this_machine import KnownDevice
    from bench.execution.doctor import Finding
    from bench.prediction.asking import Predicted

Row = dict[str, object]


def rows(wish: PredictWish) -> list[Row]:
    """A row for each model, step and device; what a terminal shows is shorter than what a program reads."""
    if wish.epochs and not wish.images:
        raise UsageError("--train EPOCHS needs --images N: how many there are in an epoch")
    from bench.cost.prediction import Conditions
    from bench.prediction import asking

    chosen, found = devices(wish.devices or "here,t4"), []
    for case in cases(wish):
        for on in chosen:
            precision = wish.precision or ("float32" if on.device.sort == "cpu" else "amp")
            launch_s = None if wish.launch_us is None else wish.launch_us / 1e6
            conditions = Conditions(wish.batch, precision, wish.layout, wish.compiled, launch_s)
            asked = asking.predicted(case, on, conditions, training=wish.epochs is not None)
            found.append(as_row(case, asked, wish) if wish.as_json else shown(as_row(case, asked, wish)))
    return found


def devices(names: str) -> "list[KnownDevice]":
    """The devices of a list such as `t4,a100`; `here` is this machine's, where it is known."""
    from bench.cost.this_machine import from_table
    from bench.prediction import here

    asked = filter(None, map(str.strip, names.split(",")))
    return [here.device() if name == "here" else from_table(name) for name in asked]


def calibrated() -> "list[Finding]":
    """Measure this machine's devices, keep what was found, and say it as findings of the doctor."""
    from bench.cost import this_machine
    from bench.execution.doctor import Finding
    from bench.prediction.calibrate import calibrate, present

    found = []
    for device in present():
        seen = calibrate(device)
        this_machine.keep(seen)
        peaks = ", ".join(f"{rate / 1e9:,.0f} GFLOP/s in {name}" for name, rate in seen.flops_per_s.items())
        rest = f"{seen.bandwidth_bytes_per_s / 1e9:.1f} GB/s copied, {1e6 * seen.launch_s:.1f} µs an operator"
        found.append(Finding(f"calibration of {device}", "good", f"{peaks}, {rest}"))
    return found


def cases(wish: PredictWish) -> Iterator[Case]:
    """A case for each model that is asked for, by its registered name or as a suite has it."""
    from bench.commands import loading
    from bench.registry import load_plugins

    for name in wish.what:
        if not name.endswith(".toml"):
            size, classes = wish.image_size or 224, wish.classes or 1000
            yield _case(name, name, _arguments(wish.arguments), size, classes)
            continue
        for loaded in loading.load([Path(name)]):
            load_plugins(loaded.suite.plugins, loaded.path.parent)
            for key, model in loaded.suite.models.items():
                size, classes = wish.image_size or model.image_size, wish.classes or model.num_classes
                yield _case(key, model.factory, dict(model.args), size, classes)


def _case(key: str, factory: str, args: Mapping[str, object], size: int, classes: int) -> Case:
    return Case(
        key, "", "", "", "timing", key, factory=factory, model_args=args, num_classes=classes, image_size=size
    )  # fmt: skip


def _arguments(given: tuple[str, ...]) -> dict[str, object]:
    """`width=8` and `variant=S/16` as TOML would read them, a word without quotes as a text."""
    found: dict[str, object] = {}
    for text in given:
        key, equals, value = text.partition("=")
        if not equals or not key.strip():
            raise UsageError(f"--arg '{text}' is not KEY=VALUE, such as depth=8")
        try:
            found[key.strip()] = tomllib.loads(f"value = {value}")["value"]
        except tomllib.TOMLDecodeError:
            found[key.strip()] = value.strip()
    return found


def as_row(case: Case, found: "Predicted", wish: PredictWish) -> Row:
    """Everything that is predicted, in base units."""
    step, low, high = found.step, found.low, found.high
    row: Row = {
        "model": case.model, "device": found.device.name, "basis": "predicted",
        "device_figures": found.device.datasheet, "step": "training" if found.training else "inference",
        "image_size": case.image_size, "batch_size": wish.batch, "precision": found.conditions.precision,
        "layout": wish.layout, "compiled": wish.compiled,
        "step_s": step.seconds, "step_s_low": step.seconds * low, "step_s_high": step.seconds * high,
        "images_per_s": wish.batch / step.seconds, "bound_by": step.bound, "parts_s": dict(step.parts),
        "launches_s": step.host_s, "peak_bytes": found.peak_bytes, "memory_bytes": found.device.memory_bytes,
        "largest_batch": found.largest_batch,
    }  # fmt: skip
    return row | (_training(found, wish) if wish.epochs and wish.images else {})


def _training(found: "Predicted", wish: PredictWish) -> Row:
    from bench.cost.training import Pipeline, Plan, dollars, length

    assert wish.epochs
    assert wish.images
    plan = Plan(wish.epochs, wish.images, wish.test_images)
    pipeline = Pipeline((wish.image_ms or 0.0) / 1e3, (wish.image_ms or 0.0) / 1e3, wish.workers)
    whole = length(plan, wish.batch, found.step.seconds, found.test_step_s, pipeline)
    low, high = (
        length(plan, wish.batch, found.step.seconds * by, found.test_step_s * by, pipeline).seconds
        for by in (found.low, found.high)
    )
    price = dollars(whole.seconds, found.device)
    return {
        "epochs": plan.epochs, "images": plan.images, "training_s": whole.seconds, "training_s_low": low,
        "training_s_high": high, "epoch_s": whole.epoch_s, "waits_for": whole.waits,
        "usd": price[0] if price else None, "usd_per_hour": price[1].value if price else None,
        "usd_basis": price[1].basis if price else None, "usd_source": price[1].source if price else None,
    }  # fmt: skip


def shown(row: Row) -> Row:
    """The row as a person reads it."""
    from bench.records.written import duration

    numbers = {key: value for key, value in row.items() if isinstance(value, (int, float))}
    step, low, high = (1e3 * numbers[key] for key in ("step_s", "step_s_low", "step_s_high"))
    largest = row["largest_batch"]
    short: Row = {
        "model": row["model"], "device": row["device"], "step": f"{row['step']}, batch {row['batch_size']}",
        "precision": row["precision"], "predicted": f"{step:.3g} ms ({low:.3g} to {high:.3g})",
        "images/s": f"{numbers['images_per_s']:,.0f}", "bound by": row["bound_by"],
        "memory": f"{numbers['peak_bytes'] / 2**30:.2f} GiB", "largest batch": largest,
    }  # fmt: skip
    if "training_s" in row:
        ends = f"{duration(numbers['training_s_low'])} to {duration(numbers['training_s_high'])}"
        short |= {"training": f"{duration(numbers['training_s'])} ({ends})"}
        short |= {"cost": f"${numbers['usd']:,.2f}" if "usd" in numbers else "no price"}
    return short
