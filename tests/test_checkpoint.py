"""Checkpoints: a training killed anywhere ends with the same bits; what cannot be written or read is told."""

import errno
import os
import signal
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest
import torch
from torch import nn

from bench.data.synthetic import synthetic
from bench.errors import MeasurementError
from bench.execution.context import Context
from bench.suite.recipe import Recipe
from bench.training import checkpoint
from bench.training.loop import EpochResult, train

ROOT = Path(__file__).parent.parent
RECIPE = {
    "epochs": 4,
    "batch_size": 16,
    "optimizer": "adamw",
    "lr": 3e-3,
    "schedule": {"name": "cosine", "step": "batch", "t_max": 3},
    "augment": [{"name": "flip"}, {"name": "erasing"}],
    "mixup": 0.2,
}


def model():
    torch.manual_seed(11)
    return nn.Sequential(nn.Flatten(), nn.Linear(192, 8), nn.BatchNorm1d(8), nn.Dropout(0.2), nn.Linear(8, 4))


def trained(keep=None, code=None, **changes):
    """Model and curve without its times, which no two runs share."""
    network, dataset = model(), synthetic(n_train=64, n_test=20, image_size=8, n_classes=4)
    recipe = Recipe.from_mapping(RECIPE | changes)
    curve = list(train(network, dataset, recipe, seed=5, context=Context(), keep=keep, code_sha256=code))
    state = torch.cat([tensor.double().flatten() for tensor in network.state_dict().values()])
    return state, [(point.train_loss, point.train_top1_pct, point.test_loss, point.test_top1_pct) for point in curve]


# A child that trains and kills itself with SIGKILL at a given place: nothing of Python's own clean-up runs.
CHILD = textwrap.dedent("""
    import os, signal, sys
    from pathlib import Path
    import torch
    torch.set_num_threads(1)
    from bench.training import checkpoint
    from tests.test_checkpoint import RECIPE, model
    from bench.execution.context import Context
    from bench.data.synthetic import synthetic
    from bench.suite.recipe import Recipe
    from bench.training.loop import train

    place, keep = sys.argv[1], Path(sys.argv[2])
    def die(): os.kill(os.getpid(), signal.SIGKILL)

    def progress(told):
        if place == "in a batch" and told.done == 7:
            die()

    if place == "in a save":
        def replace(new, target, calls=[]):
            calls.append(target)
            if len(calls) == 4:  # the first is the one before the first epoch
                die()
            os.rename(new, target)
        os.replace = replace

    dataset = synthetic(n_train=64, n_test=20, image_size=8, n_classes=4)
    context = Context(progress=progress)
    for result in train(model(), dataset, Recipe.from_mapping(RECIPE), seed=5, context=context, keep=keep):
        if place == "after a save" and result.epoch == 3:
            die()
""")


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="there is no SIGKILL on this system")
@pytest.mark.parametrize(("place", "epochs_kept"), [("in a batch", 1), ("in a save", 2), ("after a save", 3)])
def test_a_training_killed_anywhere_goes_on_and_ends_with_the_same_bits(tmp_path, place, epochs_kept):
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        keep = tmp_path / "training.pt"
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        child = subprocess.run(
            [sys.executable, "-c", CHILD, place, str(keep)], env=environment, cwd=ROOT, capture_output=True, check=False
        )
        assert child.returncode == -signal.SIGKILL, child.stderr.decode()
        kept = checkpoint.load(keep, "cpu")
        assert kept is not None
        assert len(kept["curve"]) == epochs_kept
        resumed, resumed_curve = trained(keep)
        whole, whole_curve = trained()
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(resumed, whole)
    assert resumed_curve == whole_curve


def test_a_finished_training_is_told_again_without_a_step(tmp_path):
    keep = tmp_path / "training.pt"
    first = trained(keep)
    before = keep.stat().st_mtime_ns
    again = trained(keep)
    assert torch.equal(first[0], again[0])
    assert first[1] == again[1]
    assert keep.stat().st_mtime_ns == before


def test_a_checkpoint_of_another_recipe_is_refused(tmp_path):
    keep = tmp_path / "training.pt"
    trained(keep, epochs=1)
    with pytest.raises(MeasurementError, match="is of another training; delete it to begin again"):
        trained(keep, epochs=1, lr=1e-3)


def cut_after(keep, epochs, code):
    """A checkpoint as a training that was killed after so many epochs leaves it."""
    trained(keep, code=code)
    state = checkpoint.load(keep, "cpu")
    checkpoint.save(keep, checkpoint.pack({**state, "curve": state["curve"][:epochs]}))


def test_a_checkpoint_of_other_code_is_begun_anew_and_that_is_said(tmp_path):
    keep = tmp_path / "training.pt"
    cut_after(keep, 2, "a" * 64)
    with pytest.warns(UserWarning, match=r"training\.pt was made with other code: the training begins anew"):
        state, curve = trained(keep, code="b" * 64)
    assert torch.equal(state, trained()[0])
    assert len(curve) == 4
    assert trained(keep, code="b" * 64)[1] == curve, "what began anew is the checkpoint now"


@pytest.mark.parametrize("other", ["torch", "bench", "parts", "data"])
def test_so_is_one_of_another_torch_bench_number_of_threads_or_data(tmp_path, other):
    keep = tmp_path / "training.pt"
    trained(keep)
    state = checkpoint.load(keep, "cpu")
    checkpoint.save(keep, checkpoint.pack({**state, "training": {**state["training"], other: "another"}}))
    with pytest.warns(UserWarning, match=f"was made with other {other}: the training begins anew"):
        trained(keep)


def test_a_damaged_checkpoint_is_refused_by_name(tmp_path):
    keep = tmp_path / "training.pt"
    trained(keep, epochs=1)
    keep.write_bytes(keep.read_bytes()[:-500])
    with pytest.raises(MeasurementError, match=r"training\.pt cannot be read; delete it"):
        trained(keep, epochs=1)


def test_no_code_is_run_from_a_checkpoint(tmp_path):
    class Harmful:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "harm"),)

    torch.save({"training": Harmful()}, tmp_path / "training.pt")
    with pytest.raises(MeasurementError, match="cannot be read"):
        checkpoint.load(tmp_path / "training.pt", "cpu")
    assert not (tmp_path / "harm").exists()


def test_a_folder_that_cannot_be_made_is_a_clear_error(tmp_path):
    (tmp_path / "scratch").write_text("a file where a folder should be")
    with pytest.raises(MeasurementError, match=r"scratch/training\.pt \(.* bytes\) cannot be written: File exists"):
        trained(tmp_path / "scratch" / "training.pt", epochs=1)


def test_a_full_disk_is_a_clear_error_and_the_last_checkpoint_stays(tmp_path, monkeypatch):
    keep = tmp_path / "training.pt"
    checkpoint.save(keep, checkpoint.pack({"epoch": 1}))

    def full(number):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(MeasurementError, match="No space left on device"):
        checkpoint.save(keep, checkpoint.pack({"epoch": 2}))
    assert checkpoint.load(keep, "cpu") == {"epoch": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["training.pt"], "nothing unfinished is left"


def test_two_that_save_one_training_at_once_leave_a_whole_file_at_every_moment(tmp_path):
    keep = tmp_path / "training.pt"
    states = [checkpoint.pack({"of": number, "much": torch.zeros(20_000)}) for number in range(2)]
    writers = [
        threading.Thread(target=lambda one=one: [checkpoint.save(keep, one) for _ in range(40)]) for one in states
    ]
    checkpoint.save(keep, states[0])
    for writer in writers:
        writer.start()
    while any(writer.is_alive() for writer in writers):
        assert checkpoint.load(keep, "cpu")["of"] in (0, 1)
    assert [path.name for path in tmp_path.iterdir()] == ["training.pt"]


def test_nothing_is_packed_where_nothing_is_kept(monkeypatch):
    monkeypatch.setattr(checkpoint, "pack", lambda state: pytest.fail("packed"))
    trained()


def test_a_training_that_is_taken_up_again_says_after_which_epoch(tmp_path):
    keep, told = tmp_path / "training.pt", []
    trained(keep, epochs=1)
    context = Context(progress=told.append)
    dataset = synthetic(n_train=64, n_test=20, image_size=8, n_classes=4)
    list(train(model(), dataset, Recipe.from_mapping(RECIPE | {"epochs": 1}), seed=5, context=context, keep=keep))
    (only,) = told
    assert (only.resumed, only.newest_epoch, only.epochs) == (True, 1, 1)


def test_nothing_is_kept_when_nothing_is_there(tmp_path):
    assert checkpoint.load(tmp_path / "training.pt", "cpu") is None


def test_a_loss_without_a_value_survives_the_file(tmp_path):
    result = EpochResult(1, None, 10.0, None, 10.0, 1.0, 64.0, bad_batches=4, train_cause="x", bad_images=20)
    checkpoint.save(tmp_path / "x.pt", checkpoint.pack({"curve": [vars(result)]}))
    state = checkpoint.load(tmp_path / "x.pt", "cpu")
    assert state is not None
    assert EpochResult(**state["curve"][0]) == result
