"""Names lead to factories; what a file offers is known before it is imported."""

import sys

import pytest

from bench.errors import UsageError
from bench.registry import Registry, datasets, load_plugin, measures, models


def test_a_folders_files_and_a_files_decorators_are_names():
    assert {"mlp_mixer", "hybrid_mixer", "conv_mixer", "mobilevit_xxs", "timm", "torchvision"} <= set(models.names())
    assert {"cifar10", "cifar100", "cifar10_sample", "image_folder", "synthetic"} <= set(datasets.names())
    assert {"static", "timing", "side_by_side", "memory", "accuracy"} <= set(measures.names())


def test_a_name_with_a_tail_leads_to_the_factory_of_its_head():
    assert models.get("timm:resnet18") is models.get("timm")


def test_arguments_are_read_from_the_source_and_open_ones_are_unknown():
    assert "depth" in models.parameters("mlp_mixer")
    assert "image_size" not in models.parameters("mlp_mixer"), "every model is given that"
    assert models.parameters("timm:resnet18") is None
    assert models.parameters("nothing") is None


def test_an_unknown_name_offers_the_nearest():
    with pytest.raises(UsageError, match=r"no model 'mlp_mixr'\. Did you mean 'mlp_mixer'\? Known: conv_mixer"):
        models.get("mlp_mixr")


def test_two_factories_of_one_name_are_refused_and_the_same_one_again_is_not():
    registry = Registry("thing", "bench.models")

    def first(): ...

    def second(): ...

    registry.register("x")(first)
    registry.register("x")(first)
    with pytest.raises(UsageError, match="thing 'x' is registered twice"):
        registry.register("x")(second)


def test_plug_ins_of_one_name_in_two_folders_are_two(tmp_path):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "model.py").write_text(f"WHERE = {folder!r}\n", encoding="utf-8")
    found = [load_plugin("model.py", tmp_path / folder) for folder in ("a", "b", "a")]
    assert [module.WHERE for module in found] == ["a", "b", "a"]
    assert found[0] is found[2]


def test_a_plug_in_that_is_not_there_is_named(tmp_path):
    with pytest.raises(UsageError, match=r"plug-in 'nowhere\.py': no file"):
        load_plugin("nowhere.py", tmp_path)
    with pytest.raises(UsageError, match=r"A file is named with its suffix, 'nowhere_at_all\.py'"):
        load_plugin("nowhere_at_all", tmp_path)
    assert "nowhere_at_all" not in sys.modules
    with pytest.raises(UsageError, match=r"No module named 'nowhere_at_all'\.$"):
        load_plugin("nowhere_at_all.models", tmp_path)  # a dotted name means a module, never a file
