"""torchvision imports through `bench.vision_import` in a fresh interpreter, and nothing is declared that exists."""

import subprocess
import sys

DEFINE = "import torch; library = torch.library.Library('torchvision', 'FRAGMENT')\n" + "".join(
    f"library.define('{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor')\n" for name in ("nms", "qnms")
)


def fresh(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)


def test_torchvision_imports_and_builds_a_model_in_a_fresh_interpreter():
    shown = fresh(
        "from bench.torchvision_import import torchvision\n"
        "import torch\n"
        "with torch.device('meta'):\n"
        "    print(torchvision.models.resnet18(num_classes=10).fc.out_features)\n"
    )
    assert (shown.returncode, shown.stdout) == (0, "10\n"), shown.stderr


def test_exactly_the_operators_a_plain_import_stops_at_are_declared():
    plain = fresh("import torchvision")
    shown = fresh("from bench.torchvision_import import DECLARED\nprint(*DECLARED)")
    expected = "\n" if plain.returncode == 0 else "nms qnms\n"
    assert shown.stdout == expected, plain.stderr + shown.stderr


def test_nothing_is_declared_when_the_operators_exist():
    shown = fresh(DEFINE + "from bench.torchvision_import import DECLARED\nprint(DECLARED)")
    assert (shown.returncode, shown.stdout) == (0, "[]\n"), shown.stderr


def test_only_the_missing_one_is_declared_when_one_exists():
    only_nms = "\n".join(DEFINE.splitlines()[:-1]) + "\n"
    shown = fresh(only_nms + "from bench.torchvision_import import DECLARED\nprint(DECLARED)")
    assert (shown.returncode, shown.stdout) == (0, "['qnms']\n"), shown.stderr


def test_a_declared_operator_still_refuses_to_run():
    shown = fresh(
        "from bench.torchvision_import import DECLARED, torchvision\n"
        "import torch\n"
        "boxes, scores = torch.tensor([[0., 0., 1., 1.]]), torch.tensor([1.])\n"
        "try:\n"
        "    print(len(torchvision.ops.nms(boxes, scores, 0.5)))\n"
        "except (RuntimeError, NotImplementedError) as error:\n"
        "    print(1 if DECLARED else error)\n"
    )
    assert (shown.returncode, shown.stdout) == (0, "1\n"), shown.stderr
