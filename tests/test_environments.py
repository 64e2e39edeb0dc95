"""Every row finds the conditions of its own node: by the id of an environment, and from before that by its run."""

from pathlib import Path

import pytest

from bench import hardware
from bench.records.measurement import Environment, Measurement, identified
from bench.store import Store
from tests import making


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def on(node: str, run_id: str = "run-1", **conditions: object) -> Environment:
    """The environment of a node in a run."""
    return identified(making.environment(run_id=run_id, machine=node, **conditions))


def row(environment: Environment | None = None, **changes: object) -> Measurement:
    return making.row(environment_id=environment.environment_id if environment else None, **changes)


def test_equal_conditions_have_one_id_in_every_run_and_others_another():
    one = on("aaaa", torch="2.13.0").environment_id
    assert one == on("aaaa", "run-2", torch="2.13.0", started_at="later", command="other").environment_id
    others = [on("bbbb", torch="2.13.0"), on("aaaa", torch="2.12.1"), on("aaaa", torch="2.13.0", machine_name="left")]
    assert len({one, *(each.environment_id for each in others)}) == 4


def test_a_row_has_the_conditions_of_its_own_node(store, tmp_path):
    first, second = on("aaaa", torch="2.13.0"), on("bbbb", torch="2.12.1", machine_name="left")
    for node, number in ((first, 1), (second, 2), (first, 3)):
        store.append_environment(node)
        store.append([row(node, repeat=number)])
    store.append([row(repeat=4, run_id="unknown")])
    store.export(tmp_path / "out")
    imported = Store(tmp_path / "imported")
    imported.import_(tmp_path / "out")
    for each in (store, Store(tmp_path / "out"), imported):
        rows = each.with_conditions(each.load()).sort_values("repeat")
        told = rows[["torch", "machine", "machine_name"]].astype(object).where(lambda found: found.notna(), None)
        assert told.values.tolist() == [
            ["2.13.0", "aaaa", None], ["2.12.1", "bbbb", "left"], ["2.13.0", "aaaa", None], [None, None, None],
        ]  # fmt: skip
        assert len(each.environments()) == 2, "the first node's was stored twice"
        assert each.runs()[["run_id", "machines", "torch"]].values.tolist()[0] == ["run-1", 2, "2.12.1 | 2.13.0"]
        both, _ = each.run("run-1")
        assert (both["torch"], both["machine"], both["python"]) == ("2.12.1 | 2.13.0", "aaaa | bbbb", "text")


def test_packages_of_several_nodes_are_told_package_by_package(store):
    for node, numpy in (("aaaa", "2.4.1"), ("bbbb", "2.4.2")):
        store.append_environment(on(node, packages_json=f'{{"numpy":"{numpy}","timm":"1.0"}}'))
    store.append([row()])
    assert store.run("last")[0]["packages_json"] == '{"numpy":"2.4.1 | 2.4.2","timm":"1.0"}'


def test_rows_of_before_machines_had_ids_get_the_one_of_their_runs_hardware():
    reference = Store(making.ROOT / "results" / "reference")
    rows = reference.with_conditions(reference.load())
    assert rows["machine"].notna().all()
    assert rows["environment_id"].isna().all()
    machines = rows.groupby("device_name")["machine"].unique().map(list).to_dict()
    # 25,276,510,208 bytes are 23.54 GiB, so 24; what torch uses of the processor is no part of its name.
    assert machines["AMD EPYC (AVX512)"] == [hardware.identity("AMD EPYC", 2, 24 * 2**30)]
    assert machines["NVIDIA H200"] != machines["AMD EPYC (AVX512)"]


def test_machines_are_listed_with_what_they_are_made_of_and_what_was_measured_there():
    listed = Store(making.ROOT / "results" / "reference").machines()
    shown = listed[["devices", "cores", "memory_gib", "runs"]].to_dict("records")
    assert {"devices": "AMD EPYC (AVX512)", "cores": 2, "memory_gib": 24, "runs": 2} in shown
    assert [each["devices"] for each in shown].count("NVIDIA H200") == 1
    assert listed["rows"].sum() == len(Store(making.ROOT / "results" / "reference").load(["metric"]))
