"""What a plug-in may use of bench, all of it from here: `from bench.plugins import models, Reading`.

Names that are not here may move at any time. What takes torch or pyarrow is imported when it is asked for.
"""

import importlib
from typing import TYPE_CHECKING, Any

from bench.errors import DataAbsent, DataCorrupt, MeasurementError, UsageError
from bench.execution.context import Context, Progress
from bench.plan.case import Case
from bench.records import metrics
from bench.records.measurement import DataFacts, Reading
from bench.records.metrics import Metric
from bench.registry import datasets, evaluations, measures, models

if TYPE_CHECKING:
    from bench.data.dataset import Dataset, finish
    from bench.measures.instruments.model import build, images

__all__ = [
    "Case", "Context", "DataAbsent", "DataCorrupt", "DataFacts", "Dataset", "MeasurementError", "Metric", "Progress",
    "Reading", "UsageError", "build", "datasets", "evaluations", "finish", "images", "measures", "metrics", "models",
]  # fmt: skip

_LATER = {
    "Dataset": "bench.data.dataset",
    "finish": "bench.data.dataset",
    "build": "bench.measures.instruments.model",
    "images": "bench.measures.instruments.model",
}


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"bench.plugins has no '{name}'. It has: {', '.join(__all__)}")
    return getattr(importlib.import_module(_LATER[name]), name)
