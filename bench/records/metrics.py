"""The one table of metrics: unit, better direction, protocol number, meaning, what it depends on, how it is printed.

Nothing is measured here, and no other file says by a metric's name what must match. When the way of measuring a metric
changes, its protocol is raised, and comparisons with older rows answer "not comparable" by themselves.
"""

from dataclasses import dataclass
from typing import Any, Literal, get_args

from bench.errors import UsageError, near
from bench.records import units

Better = Literal["higher", "lower", "neither"]
# model: the same on every machine and for any data. data: learned, so it takes seeds and the same images. machine: a
# clock or an allocator, so it counts only from the same device, threads and batch.
Depends = Literal["model", "data", "machine"]


@dataclass(frozen=True)
class Metric:
    """What one number means. `unit` is the base unit its rows are stored in.

    From `depends` follow what must match before two values are compared, whether seeds are needed and whether a clock
    is involved. A plug-in's metric that does not say is taken to depend on the machine, which asks for most.
    """

    name: str
    unit: str
    better: Better
    protocol: int
    measure: str  # the measure that yields it
    meaning: str
    decimals: int = 0
    depends: Depends = "machine"
    on_test_images: bool = False  # a share of test images, whose number bounds what it can tell
    also: str = ""  # another measure that yields it

    @property
    def timed(self) -> bool:
        """Whether a value is a reading of a clock, which scatters; what is counted on a machine does not."""
        return self.depends == "machine" and self.unit not in _COUNTED

    def possible(self, value: float | None) -> bool:
        """Whether a value can be one of these: a share of test images lies between none and all of them."""
        return value is None or not self.on_test_images or 0 <= value <= 100


# unit -> how it is written after a number; singular base units as stored. Any other unit is written by its name.
UNITS: dict[str, str] = {
    "parameters": "parameters",
    "macs": "MACs",
    "flops": "FLOPs",
    "elements": "elements",
    "s": "s",
    "min": "min",
    "h": "h",
    "bytes": "bytes",
    "J": "J",
    "J/image": "J/image",
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

_COUNTED = ("parameters", "macs", "flops", "elements", "bytes", "epochs", "images", "tokens")

_TABLE = (
    Metric(
        "params", "parameters", "lower", 1, "static",
        "all parameters, each counted once even when shared", depends="model",
    ),
    Metric(
        "params_trainable", "parameters", "lower", 1, "static",
        "parameters that receive a gradient", depends="model",
    ),
    Metric(
        "params_headless", "parameters", "lower", 1, "static",
        "parameters without the classifier head", depends="model",
    ),
    Metric(
        "params_by_module", "parameters", "lower", 1, "static",
        "parameters below one named module (part = its path)", depends="model",
    ),
    Metric(
        "buffer_elements", "elements", "lower", 1, "static",
        "elements held in buffers, such as running statistics", depends="model",
    ),
    Metric(
        "output_elements", "elements", "neither", 1, "static",
        "elements one module returns for one image (part = its path)", depends="model",
    ),
    Metric(
        "macs", "macs", "lower", 1, "static",
        "multiply-accumulates of convolutions and matrix products, one image", depends="model",
    ),
    Metric("macs_fvcore", "macs", "lower", 1, "static", "the same, as fvcore counts them", depends="model"),
    Metric("macs_torch", "macs", "lower", 1, "static", "the same, as torch's own counter sees them", depends="model"),
    Metric(
        "macs_closed_form", "macs", "lower", 1, "static",
        "the same, from the closed form of the model family", depends="model",
    ),
    Metric(
        "macs_by_operator", "macs", "lower", 1, "static",
        "multiply-accumulates of one operator (part = its name)", depends="model",
    ),
    Metric(
        "uncounted_calls", "1", "lower", 1, "static",
        "calls of an operator that a counter does not know (part = counter: operator)", depends="model",
    ),
    Metric(
        "coverage_pct", "%", "higher", 1, "static",
        "share of operator calls that the counters know or that do no arithmetic", decimals=1, depends="model",
    ),
    Metric(
        "latency_s", "s", "lower", 2, "timing",
        "seconds of one forward pass, the median block of one process per row", decimals=6, depends="machine",
    ),
    Metric(
        "latency_p50_s", "s", "lower", 2, "timing",
        "median seconds of one forward pass over single calls, one process per row", decimals=6, depends="machine",
    ),
    Metric(
        "latency_p95_s", "s", "lower", 2, "timing",
        "95th percentile seconds of one forward pass over single calls, one process per row", decimals=6,
        depends="machine",
    ),
    Metric(
        "fps", "images/s", "higher", 2, "timing",
        "images per second of inference, batch already on the device, one process per row", decimals=1,
        depends="machine",
    ),
    Metric(
        "image_energy_j", "J/image", "lower", 1, "energy",
        "joules of one image of inference by the device's counter, idle power included, one block per row", decimals=3,
        depends="machine",
    ),
    Metric(
        "training_energy_j", "J", "lower", 1, "accuracy",
        "joules of a whole training by the device's counter, its evaluations and idle power included", decimals=0,
        depends="machine",
    ),
    Metric(
        "time_ratio", "ratio", "neither", 1, "side_by_side",
        "time of the model over time of another, blocks interleaved in one process", decimals=3, depends="machine",
    ),
    Metric(
        "forward_peak_bytes", "bytes", "lower", 1, "memory",
        "peak bytes of one inference forward pass, weights included", depends="machine",
    ),
    Metric(
        "train_step_peak_bytes", "bytes", "lower", 1, "memory",
        "peak bytes of one training step, weights and optimiser included", depends="machine",
    ),
    Metric(
        "train_loss", "nats", "lower", 1, "accuracy",
        "mean training loss over the epoch, as trained (augmented, dropout on)", decimals=3, depends="data",
    ),
    Metric(
        "train_top1_pct", "%", "higher", 1, "accuracy",
        "training accuracy over the epoch, as trained (augmented, dropout on)", decimals=2, depends="data",
    ),
    Metric(
        "test_loss", "nats", "lower", 1, "accuracy",
        "mean cross-entropy, the negative log-likelihood, on the test set, of a training after the epoch", decimals=3,
        depends="data", also="evaluate",
    ),
    Metric(
        "test_top1_pct", "%", "higher", 1, "accuracy",
        "test accuracy, of a training after the epoch", decimals=2, depends="data", on_test_images=True,
        also="evaluate",
    ),
    Metric(
        "test_top5_pct", "%", "higher", 1, "accuracy",
        "share of test images whose class is among the five likeliest, of a training after the last epoch", decimals=2,
        depends="data", on_test_images=True, also="evaluate",
    ),
    Metric(
        "test_ece_pct", "%", "lower", 1, "accuracy",
        "expected calibration error of top-1 confidence, 15 bins of equal width, of a training after the last epoch",
        decimals=2, depends="data", also="evaluate",
    ),
    Metric(
        "class_top1_pct", "%", "higher", 1, "evaluate",
        "test accuracy on the images of one class (part = its name)", decimals=2, depends="data",
    ),
    Metric(
        "evaluate_fps", "images/s", "higher", 1, "evaluate",
        "test images per second, read, decoded, transformed and classified", decimals=1, depends="machine",
    ),
    Metric(
        "epoch_s", "s", "lower", 1, "accuracy",
        "seconds of one training epoch without its evaluation", decimals=1, depends="machine",
    ),
    Metric(
        "train_fps", "images/s", "higher", 1, "accuracy",
        "training images per second over the epoch", decimals=1, depends="machine",
    ),
    Metric(
        "command_s", "s", "lower", 1, "command",
        "seconds of somebody else's command, from its start to its end; its log is kept", decimals=1, depends="machine",
    ),
    Metric(
        "patch_filters", "1", "neither", 1, "accuracy",
        "filters of the patch embedding (part = its path); the largest ones after the last epoch are its detail",
        depends="model",
    ),
    Metric(
        "opposite_cosine", "1", "neither", 1, "accuracy",
        "mean cosine of each token-mixing unit with its most opposite one (part = path); epoch 0 is before training",
        decimals=2, depends="data",
    ),
)  # fmt: skip

METRICS: dict[str, Metric] = {metric.name: metric for metric in _TABLE}


def register(metric: Metric) -> Metric:
    """Add a metric that a plug-in's measure yields, in any unit of `records.units`. Nothing is kept of one that is
    refused.

    Raises:
        ValueError: the name is taken by another metric, or the unit, the direction or what it depends on is not known.
    """
    _check(metric)
    if METRICS.setdefault(metric.name, metric) != metric:
        raise ValueError(f"metric '{metric.name}' is already {METRICS[metric.name]}")
    return metric


def evaluated(name: str, **said: Any) -> Metric:
    """A metric that an evaluation works out from logits: learned, unless it says otherwise.

    Raises:
        TypeError: a field that there is none, or `unit`, `better` or `meaning` is missing.
    """
    usual: dict[str, Any] = {"protocol": 1, "measure": "", "depends": "data", "decimals": 2}
    return Metric(name, **(usual | said))


def declare(metric: Metric) -> None:
    """Add a metric that a suite declares; it takes the place of one that another suite, read before, declared.

    Raises:
        ValueError: the name is that of a metric of bench or of a plug-in, which says otherwise, or as in `register`.
    """
    _check(metric)
    known = METRICS.get(metric.name)
    if known is not None and known != metric and metric.name not in _DECLARED:
        said = f"'{known.meaning}', in {known.unit}" if known.unit != "1" else f"'{known.meaning}'"
        raise ValueError(f"metric '{metric.name}' is there already: {said}. Choose another name")
    if known is None:
        _DECLARED.add(metric.name)
    METRICS[metric.name] = metric


def declared() -> list[Metric]:
    """The metrics that suites declared, which a process of its own has to be told."""
    return [METRICS[name] for name in sorted(_DECLARED & METRICS.keys())]


_DECLARED: set[str] = set()


def _check(metric: Metric) -> None:
    try:
        units.of(metric.unit)
    except UsageError as error:
        raise ValueError(f"metric '{metric.name}': {error}") from error
    for field, known in (("better", get_args(Better)), ("depends", get_args(Depends))):
        value = getattr(metric, field)
        if value not in known:
            raise ValueError(f"metric '{metric.name}': no {field} '{value}'.{near(str(value), [*known])}")


# What must be equal before two values of a metric may be compared, by what it depends on. Keys are columns of
# Measurement.
_ALWAYS = ("model", "params_json", "protocol", "part")
_CONDITIONS: dict[Depends, tuple[str, ...]] = {
    "model": _ALWAYS,
    "data": (*_ALWAYS, "dataset_sha256", "n_train", "n_test", "precision"),
    "machine": (
        *_ALWAYS, "batch_size", "image_size", "device", "device_name", "precision", "layout", "compiled", "threads",
    ),
}  # fmt: skip


def depends(metric: str) -> Depends:
    """What a metric depends on. One that is not in the table (its plug-in is not loaded) may depend on the machine."""
    return METRICS[metric].depends if metric in METRICS else "machine"


def conditions(metric: str) -> tuple[str, ...]:
    """The columns that must agree before two rows of `metric` may be compared."""
    return _CONDITIONS[depends(metric)]


def from_anywhere() -> list[str]:
    """The metrics whose values are the same on every machine."""
    return [metric.name for metric in METRICS.values() if metric.depends != "machine"]
