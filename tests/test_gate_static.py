"""The exact facts of a model, and how a difference is told: by the module that holds it."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from bench.errors import MeasurementError
from bench.gate.baseline import Accepted
from bench.gate.facts import ITSELF, REFUSALS, case_of, config_of, differences, facts
from bench.measures.static import look
from bench.plan.case import Case
from bench.registry import models
from bench.suite.read import load
from tests import making

ROOT = Path(__file__).parent.parent
SIDE, CLASSES = 8, 3


class Small(nn.Module):
    """A convolution with a norm, a shared linear layer that runs twice, a product of its own, and a frozen part."""

    def __init__(self, width: int, stride: int, freeze: bool, classes: int):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, width, 3, stride=stride, padding=1), nn.BatchNorm2d(width))
        self.mix = nn.Linear(width, width)
        self.same = self.mix
        self.head = nn.Linear(width, classes)
        self.scale = nn.Parameter(torch.ones(width))
        for parameter in self.stem.parameters():
            parameter.requires_grad_(not freeze)

    def forward(self, x):
        x = self.stem(x).mean((2, 3)) * self.scale
        x = self.same(self.mix(x))
        return self.head(x @ (x.mT @ x))


@models.register("gate_small")
def gate_small(
    *, num_classes: int, image_size: int, width: int = 4, stride: int = 1, freeze: bool = False
) -> nn.Module:
    return Small(width, stride, freeze, num_classes)


@models.register("gate_broken")
def gate_broken(*, num_classes: int, image_size: int) -> nn.Module:
    raise KeyError("a part that is gone")


def case(factory: str = "gate_small", **args: object) -> Case:
    return making.case("static", factory, model_args=args, num_classes=CLASSES, image_size=SIDE)


def accepted(asked: Case) -> Accepted:
    return Accepted(**dict(facts(asked)), config=config_of(asked))


def compared(now: Case, before: Case) -> list[str]:
    """The differences, with the configuration taken as accepted: only what the code made of it counts."""
    return differences(facts(now), config_of(before), accepted(before))


def test_every_number_follows_from_the_layers():
    w, n = 4, SIDE * SIDE
    found = facts(case())
    conv, norm, linear, head = 3 * 3 * 3 * w + w, 2 * w, w * w + w, w * CLASSES + CLASSES
    assert found.params == found.trainable == conv + norm + linear + head + w
    assert found.buffers == w + w + 1, "running mean, running variance and the number of batches"
    own_products = 2 * w * w  # (4, 1) (1, 4), then (1, 4) (4, 4)
    assert found.macs_per_image == 3 * 3 * 3 * w * n + 2 * w * w + own_products + w * CLASSES
    assert {path: (one.params, one.macs) for path, one in found.modules.items()} == {
        ITSELF: (w, own_products),
        "stem.0": (conv, 3 * 3 * 3 * w * n),
        "stem.1": (norm, 0),
        "mix": (linear, 2 * w * w),  # what runs twice counts twice, what is shared is owned once
        "head": (head, w * CLASSES),
    }
    assert (found.input, found.output, found.dtype) == ([1, 3, SIDE, SIDE], [1, CLASSES], "float32")


def test_equal_models_have_no_difference():
    assert compared(case(), case()) == []


def test_a_changed_width_is_told_by_the_modules_that_it_changed():
    found = compared(case(width=5), case(width=4))
    assert "mix has 30 parameters, the baseline 20" in found  # 5 * 5 + 5, 4 * 4 + 4
    assert "stem.0 has 140 parameters, the baseline 112" in found  # 27 * 5 + 5, 27 * 4 + 4
    assert any(each.startswith("parameters in total: ") for each in found)


def test_a_stride_changes_no_parameter_and_is_still_told_by_its_module():
    assert compared(case(stride=2), case(stride=1)) == [
        f"stem.0 takes {27 * 4 * 16:,} MACs per image, the baseline {27 * 4 * 64:,}",
        f"MACs per image: {27 * 4 * 16 + 32 + 32 + 12:,}, the baseline {27 * 4 * 64 + 32 + 32 + 12:,}",
    ]


def test_frozen_parameters_are_a_difference_though_their_number_is_the_same():
    found = compared(case(freeze=True), case())
    assert "stem.0 has 112 frozen parameters, the baseline 0" in found
    assert "stem.1 has 8 frozen parameters, the baseline 0" in found


def test_classes_image_size_and_precision_show_as_shapes_and_type():
    other = replace(case(), num_classes=CLASSES + 1, image_size=SIDE * 2, precision="bfloat16")
    found = compared(other, case())
    assert "the output has the shape [1, 4], the baseline [1, 3]" in found
    assert "the input has the shape [1, 3, 16, 16], the baseline [1, 3, 8, 8]" in found
    assert "the output is bfloat16, the baseline float32" in found


def test_a_module_that_came_or_went_is_named():
    before = accepted(case())
    now = facts(case())
    fewer = now.model_copy(update={"modules": {path: one for path, one in now.modules.items() if path != "mix"}})
    assert "mix is gone: in the baseline it has 20 parameters, takes 32 MACs per image" in differences(
        fewer, before.config, before
    )
    less = before.model_copy(update={"modules": fewer.modules})
    assert differences(now, before.config, less) == ["mix is new: it has 20 parameters, takes 32 MACs per image"]


def test_other_arguments_are_a_difference_even_where_no_count_shows_them():
    asked = case(width=4)
    found = differences(facts(asked), config_of(asked), accepted(case()))
    assert found == ["the suite says args.width = 4, the baseline 'nothing'"]


def test_another_version_of_the_counter_is_no_difference_by_itself_and_is_named_beside_one():
    before = accepted(case()).model_copy(update={"counter": "torch 1.0"})
    assert differences(facts(case()), before.config, before) == []
    assert differences(facts(case(stride=2)), before.config, before)[-1].endswith(" by torch 1.0")


def test_a_model_that_does_not_build_is_no_difference_but_an_error_with_its_own_words():
    with pytest.raises(MeasurementError, match="does not build or run: KeyError: 'a part that is gone'"):
        facts(case("gate_broken"))


def test_an_operator_that_the_counter_does_not_know_is_listed():
    class Unknown(nn.Module):
        def forward(self, x):
            return torch.linalg.det(x[:, 0])

    models._factories["gate_unknown"] = lambda *, num_classes, image_size: Unknown()
    try:
        assert facts(case("gate_unknown")).uncounted
    finally:
        del models._factories["gate_unknown"]


@pytest.mark.parametrize("key", ["mixer", "hybrid", "convmixer", "mobilevit"])
def test_the_guarded_models_count_as_the_static_measure_counts_them(key):
    asked = case_of(load(ROOT / "suites/ci.toml").suite, key)
    seen, found = look(asked), facts(asked)
    assert found.macs_per_image == seen.torch.total
    assert found.params == sum(parameter.numel() for parameter in seen.model.parameters())
    assert found.uncounted == {}


def test_what_a_model_may_raise_leaves_out_interrupts_and_exits():
    assert not any(issubclass(end, REFUSALS) for end in (KeyboardInterrupt, SystemExit, MemoryError))


def test_the_static_part_of_all_guards_takes_a_few_times_the_processor_time_of_importing_torch():
    """Processor time side by side, not wall time: neither a slow nor a busy machine must fail a test of this code."""
    checked = (
        "import json, sys, time; sys.argv = ['bench', 'check', '--static-only', '--json', 'suites/ci.toml']\n"
        "from runner import bench\n"
        "try: bench()\n"
        "except SystemExit as end: code = end.code\n"
        "print(json.dumps({'code': code, 'cpu_s': time.process_time()}), file=sys.stderr)"
    )
    imported = "import sys, time, torch; print(time.process_time(), file=sys.stderr)"
    ratios = []
    for _ in range(2):
        both = [subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT, check=True)
                for script in (checked, imported)]  # fmt: skip
        told, torch_s = (json.loads(done.stderr.strip().splitlines()[-1]) for done in both)
        assert told["code"] == 0, both[0].stdout
        ratios.append(told["cpu_s"] / torch_s)
    assert min(ratios) < 6, ratios
