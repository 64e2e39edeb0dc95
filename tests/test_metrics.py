"""What a metric depends on says what must match, whether seeds are needed and whether a clock is involved."""

from dataclasses import replace

import pytest

from bench.records import metrics
from bench.records.metrics import METRICS, Metric, conditions, depends, from_anywhere, register

DECODING = Metric("decode_s", "s", "lower", 1, "decoding", "seconds to decode one image", depends="machine")
TOP5 = Metric("test_top3_pct", "%", "higher", 1, "top3", "share of test images", depends="data", on_test_images=True)


@pytest.fixture(autouse=True)
def only_for_one_test(monkeypatch):
    monkeypatch.setattr(metrics, "METRICS", METRICS.copy())


@pytest.mark.parametrize(("metric", "like"), [(DECODING, "latency_s"), (TOP5, "test_top1_pct")])
def test_a_plug_ins_metric_is_compared_under_the_conditions_of_ours(metric, like):
    register(metric)
    assert conditions(metric.name) == conditions(like)
    assert (metric.name in from_anywhere()) == (like in from_anywhere())


def test_a_clock_asks_for_the_machine_a_learned_value_for_the_images_and_a_count_for_neither():
    assert {"device_name", "threads", "batch_size"} < set(conditions("latency_s"))
    assert "dataset_sha256" in conditions("test_top1_pct")
    assert "device_name" not in conditions("test_top1_pct")
    assert conditions("params") == ("model", "params_json", "protocol", "part")


def test_a_metric_that_does_not_say_and_one_that_is_not_loaded_depend_on_the_machine():
    assert Metric("x", "1", "lower", 1, "mine", "a number").depends == "machine"
    assert depends("of_a_plug_in_that_is_not_loaded") == "machine"
    assert "of_a_plug_in_that_is_not_loaded" not in from_anywhere()


def test_a_clock_scatters_and_bytes_that_an_allocator_counts_do_not():
    assert METRICS["latency_s"].timed
    assert METRICS["time_ratio"].timed
    assert not METRICS["train_step_peak_bytes"].timed
    assert not METRICS["test_top1_pct"].timed


@pytest.mark.parametrize(("wrong", "told"), [
    ({"depends": "machin"}, r"no depends 'machin'. Did you mean 'machine'\? Known: model, data, machine"),
    ({"unit": "seconds"}, "no unit 'seconds'"),
    ({"better": "highr"}, r"no better 'highr'. Did you mean 'higher'\?"),
])  # fmt: skip
def test_a_metric_that_is_wrong_is_refused_with_what_is_known_and_is_not_kept(wrong, told):
    with pytest.raises(ValueError, match=told):
        register(replace(DECODING, **wrong))
    assert DECODING.name not in metrics.METRICS


def test_a_second_meaning_of_a_name_is_refused_and_a_reload_is_not():
    register(DECODING)
    register(DECODING)
    with pytest.raises(ValueError, match="already"):
        register(replace(DECODING, meaning="of a whole batch"))
