"""Joules by a device's own counter: what is added, what starts again from zero, and the words where there is none."""

from pathlib import Path

import pytest

from bench.execution.context import Context
from bench.measures.accuracy import accuracy
from bench.measures.energy import energy
from bench.measures.instruments import joules
from bench.measures.instruments.joules import meter_of, metered
from bench.records import units
from bench.suite.recipe import Recipe
from tests.making import case

SMALL = {"model_args": {"patch_size": 16, "width": 8, "depth": 1, "token_mlp": 4, "channel_mlp": 8}, "image_size": 32}


def zone(powercap: Path, number: str, name: str, microjoules: int) -> Path:
    """A domain as the kernel shows it: its name, its counter, and where it starts again."""
    folder = powercap / f"intel-rapl:{number}"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "name").write_text(f"{name}\n")
    (folder / "energy_uj").write_text(f"{microjoules}\n")
    (folder / "max_energy_range_uj").write_text("10000000\n")
    return folder / "energy_uj"


def test_packages_and_their_memory_are_added_and_what_lies_within_a_package_is_not(tmp_path):
    package, memory = zone(tmp_path, "0", "package-0", 1_000_000), zone(tmp_path, "0:1", "dram", 500_000)
    core, platform = zone(tmp_path, "0:0", "core", 0), zone(tmp_path, "1", "psys", 0)
    with metered("cpu", tmp_path) as meter:
        for file, now in ((package, 4_000_000), (memory, 700_000), (core, 2_000_000), (platform, 9_000_000)):
            file.write_text(str(now))
        assert meter.joules == pytest.approx(3 + 0.2)
    assert "CPU package-0 (RAPL)" in meter.includes
    assert "its memory (RAPL), idle power and other processes included" in meter.includes


def test_a_counter_that_starts_again_from_zero_goes_on(tmp_path):
    package = zone(tmp_path, "0", "package-0", 9_000_000)
    with metered("cpu", tmp_path) as meter:
        package.write_text("2000000")  # 1 J up to its end at 10 J, and 2 more
        assert meter.joules == pytest.approx(3)
        package.write_text("2500000")
        assert meter.joules == pytest.approx(3.5)


def test_where_there_is_no_counter_the_row_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(joules, "POWERCAP", tmp_path)
    assert "hides it as virtual ones do" in str(meter_of("cpu", tmp_path / "nothing").absent)
    monkeypatch.setattr("bench.measures.energy.metered", lambda device: metered(device, tmp_path / "nothing"))
    (reading,) = energy(case("energy", **SMALL), Context())
    assert (reading.metric, reading.status, reading.value) == ("image_energy_j", "skipped", None)
    assert "no energy counter of the CPU" in str(reading.reason)


def test_joules_of_an_image_are_those_of_a_block_over_its_images(tmp_path, monkeypatch):
    package = zone(tmp_path, "0", "package-0", 0)
    counted = iter(range(10**6))

    def costly(call: object, count: int) -> float:
        package.write_text(str(next(counted) * 0 + int(package.read_text()) + 600_000 * count))
        return 1.0 * count

    monkeypatch.setattr("bench.measures.energy.metered", lambda device: metered(device, tmp_path))
    monkeypatch.setattr("bench.measures.instruments.stopwatch.timer", lambda device, clock: costly)
    found = list(energy(case("energy", batch_size=4, **SMALL), Context(), min_seconds=1.0, blocks=3))
    assert [each.value for each in found] == [pytest.approx(0.6 / 4)] * 3  # a call costs 0.6 J and has four images
    assert [each.repeat for each in found] == [0, 1, 2]


def test_a_training_tells_its_energy_only_when_it_is_asked(tmp_path, monkeypatch):
    package = zone(tmp_path, "0", "package-0", 0)

    def telling(progress: object) -> None:
        package.write_text(str(int(package.read_text()) + 1_000_000))

    monkeypatch.setattr("bench.measures.accuracy.metered", lambda device: metered(device, tmp_path))
    recipe = Recipe.from_mapping({"epochs": 1, "batch_size": 32, "optimizer": "sgd", "lr": 0.01})
    asked = case(
        "accuracy", num_classes=4, seed=0, recipe=recipe, dataset="synthetic",
        dataset_args={"n_train": 64, "n_test": 16, "n_classes": 4}, **SMALL,
    )  # fmt: skip
    told = {each.metric: each for each in list(accuracy(asked, Context(progress=telling), energy=True))[1:]}
    assert told["training_energy_j"].value == 3  # one joule a word: of two batches, and of the epoch
    assert "training_energy_j" not in {each.metric for each in list(accuracy(asked, Context()))[1:]}


def test_watts_times_seconds_are_joules():
    assert units.of("W").times(units.of("s")) == units.of("J")
    assert units.of("kWh").in_terms_of(units.of("J")) == 3_600_000
