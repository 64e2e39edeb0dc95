"""The one table of metrics: unit, better direction, protocol number, meaning, and how a value is printed.

Nothing is measured here. When the way of measuring a metric changes, its protocol is raised, and comparisons with
older rows answer "not comparable" by themselves.
"""

from dataclasses import dataclass
from typing import Literal

Better = Literal["higher", "lower", "neither"]


@dataclass(frozen=True)
class Metric:
    """What one number means. `unit` is the base unit its rows are stored in."""

    name: str
    unit: str
    better: Better
    protocol: int
    measure: str  # the measure that yields it
    meaning: str
    decimals: int = 0


# unit -> how it is written after a number; singular base units as stored.
UNITS: dict[str, str] = {
    "parameters": "parameters",
    "macs": "MACs",
    "flops": "FLOPs",
    "elements": "elements",
    "s": "s",
    "h": "h",
    "bytes": "bytes",
    "images/s": "images/s",
    "flops/s": "FLOP/s",
    "%": "%",
    "points": "points",
    "nats": "nats",
    "ratio": "×",
    "usd": "$",
    "usd/h": "$/h",
    "epochs": "epochs",
    "images": "images",
    "tokens": "tokens",
    "exponent": "",
    "1": "",
}

_TABLE = (
    Metric("params", "parameters", "lower", 1, "static", "all parameters, each counted once even when shared"),
    Metric("params_trainable", "parameters", "lower", 1, "static", "parameters that receive a gradient"),
    Metric("params_headless", "parameters", "lower", 1, "static", "parameters without the classifier head"),
    Metric(
        "params_by_module", "parameters", "lower", 1, "static", "parameters below one named module (part = its path)"
    ),
    Metric("buffer_elements", "elements", "lower", 1, "static", "elements held in buffers, such as running statistics"),
    Metric(
        "output_elements",
        "elements",
        "neither",
        1,
        "static",
        "elements one module returns for one image (part = its path)",
    ),
    Metric("macs", "macs", "lower", 1, "static", "multiply-accumulates of convolutions and matrix products, one image"),
    Metric("macs_fvcore", "macs", "lower", 1, "static", "the same, as fvcore counts them"),
    Metric("macs_torch", "macs", "lower", 1, "static", "the same, as torch's own counter sees them"),
    Metric("macs_closed_form", "macs", "lower", 1, "static", "the same, from the closed form of the model family"),
    Metric("macs_by_operator", "macs", "lower", 1, "static", "multiply-accumulates of one operator (part = its name)"),
    Metric(
        "uncounted_calls",
        "1",
        "lower",
        1,
        "static",
        "calls of an operator that a counter does not know (part = counter: operator)",
    ),
    Metric(
        "coverage_pct",
        "%",
        "higher",
        1,
        "static",
        "share of operator calls that the counters know or that do no arithmetic",
        1,
    ),
    Metric("latency_s", "s", "lower", 1, "timing", "seconds of one forward pass, one block of repeats per row", 6),
    Metric("latency_p50_s", "s", "lower", 1, "timing", "median seconds of one forward pass over single calls", 6),
    Metric(
        "latency_p95_s", "s", "lower", 1, "timing", "95th percentile seconds of one forward pass over single calls", 6
    ),
    Metric(
        "fps",
        "images/s",
        "higher",
        1,
        "timing",
        "images per second of inference, batch already on the device, one block per row",
        1,
    ),
    Metric(
        "time_ratio",
        "ratio",
        "neither",
        1,
        "side_by_side",
        "time of the model over time of another, blocks interleaved in one process",
        3,
    ),
    Metric(
        "forward_peak_bytes",
        "bytes",
        "lower",
        1,
        "memory",
        "peak bytes of one inference forward pass, weights included",
    ),
    Metric(
        "train_step_peak_bytes",
        "bytes",
        "lower",
        1,
        "memory",
        "peak bytes of one training step, weights and optimiser included",
    ),
    Metric(
        "train_loss",
        "nats",
        "lower",
        1,
        "accuracy",
        "mean training loss over the epoch, as trained (augmented, dropout on)",
        3,
    ),
    Metric(
        "train_top1_pct",
        "%",
        "higher",
        1,
        "accuracy",
        "training accuracy over the epoch, as trained (augmented, dropout on)",
        2,
    ),
    Metric("test_loss", "nats", "lower", 1, "accuracy", "mean cross-entropy on the test set after the epoch", 3),
    Metric("test_top1_pct", "%", "higher", 1, "accuracy", "test accuracy after the epoch", 2),
    Metric("epoch_s", "s", "lower", 1, "accuracy", "seconds of one training epoch without its evaluation", 1),
    Metric("train_fps", "images/s", "higher", 1, "accuracy", "training images per second over the epoch", 1),
    Metric(
        "patch_filters",
        "1",
        "neither",
        1,
        "accuracy",
        "filters of the patch embedding (part = its path); the largest ones after the last epoch are its detail",
    ),
    Metric(
        "opposite_cosine",
        "1",
        "neither",
        1,
        "accuracy",
        "mean cosine of each token-mixing unit with its most opposite one (part = path); epoch 0 is before training",
        2,
    ),
)

METRICS: dict[str, Metric] = {metric.name: metric for metric in _TABLE}


def register(metric: Metric) -> Metric:
    """Add a metric that a plug-in's measure yields. The unit must be one of `UNITS`.

    Raises:
        ValueError: the name is taken by another metric, or the unit is not known.
    """
    if METRICS.setdefault(metric.name, metric) != metric:
        raise ValueError(f"metric '{metric.name}' is already {METRICS[metric.name]}")
    if metric.unit not in UNITS:
        raise ValueError(f"metric '{metric.name}': unit '{metric.unit}' is not one of {', '.join(UNITS)}")
    return metric


# What must be equal before two values of a metric may be compared. Counts depend on nothing but the model; anything
# with a clock depends on the machine too. Keys are columns of Measurement.
ALWAYS = ("model", "params_json", "protocol", "part")
LEARNED = (*ALWAYS, "dataset_sha256", "n_train", "n_test", "precision")
CLOCKED = (*ALWAYS, "batch_size", "image_size", "device", "device_name", "precision", "layout", "compiled", "threads")
CONDITIONS: dict[str, tuple[str, ...]] = {
    "train_loss": LEARNED,
    "train_top1_pct": LEARNED,
    "test_loss": LEARNED,
    "test_top1_pct": LEARNED,
    "opposite_cosine": LEARNED,
    "latency_s": CLOCKED,
    "latency_p50_s": CLOCKED,
    "latency_p95_s": CLOCKED,
    "fps": CLOCKED,
    "time_ratio": CLOCKED,
    "epoch_s": CLOCKED,
    "train_fps": CLOCKED,
    "forward_peak_bytes": CLOCKED,
    "train_step_peak_bytes": CLOCKED,
}


def conditions(metric: str) -> tuple[str, ...]:
    """The columns that must agree before two rows of `metric` may be compared."""
    return CONDITIONS.get(metric, ALWAYS)
