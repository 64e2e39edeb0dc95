"""What `bench new` writes is sound as it stands, and takes the place of nothing."""

import pytest

from bench.commands import new
from bench.errors import UsageError
from bench.plan.answers import unanswered
from bench.suite import read


def test_a_new_suite_is_sound_and_its_claims_have_cases(tmp_path):
    suite, model = new.write(tmp_path / "my-paper")
    assert (suite.name, model.name) == ("my_paper.toml", "my_paper.py")
    loaded = read.load(suite, unanswered)
    assert list(loaded.suite.claims) == ["C1", "C2", "C3"]
    assert loaded.suite.claims["C1"].published == 2_900


def test_the_model_of_a_new_suite_has_the_parameters_that_it_claims(tmp_path):
    from bench.registry import load_plugin, models

    _, model = new.write(tmp_path / "fresh")
    load_plugin(model.name, model.parent)
    made = models.get("fresh")(num_classes=10, image_size=32, width=16)
    # 3*9*16 + 16, 16*9*16 + 16, 16*10 + 10: 448 + 2,320 + 170
    assert sum(weight.numel() for weight in made.parameters()) == 2_938


def test_nothing_is_overwritten(tmp_path):
    suite, _ = new.write(tmp_path / "mine")
    suite.write_text("kept")
    with pytest.raises(UsageError, match="nothing is overwritten"):
        new.write(tmp_path / "mine")
    assert suite.read_text() == "kept"
