"""The worked examples of foreign code and of a table of claims run as they stand in docs/."""

from tests.test_docs_examples import unpacked, verdicts


def test_a_foreign_script_that_writes_json_is_judged_over_its_seeds(tmp_path):
    unpacked("foreign_code", tmp_path)
    word, top1 = verdicts(tmp_path, "theirs.toml", "--profile", "paper")["F1"]
    assert word == "reproduced"
    assert abs(top1 - 76) < 0.05  # 70 + 2 * 3, and a noise of at most 0.05


def test_a_foreign_script_that_only_prints_is_read_from_its_log(tmp_path):
    unpacked("foreign_code", tmp_path)
    word, last = verdicts(tmp_path, "loud.toml")["L1"]
    assert (word, round(last, 6)) == ("reproduced", 93.1)  # 90 + 3 + the mean of 0, 0.1 and 0.2


def test_a_table_of_claims_is_counted_and_judged(tmp_path):
    unpacked("claim_tables", tmp_path)
    found = verdicts(tmp_path, "sizes.toml")
    assert found["resnet18"] == ("reproduced", 11_689_512)
    assert found["mobilenetv3_small_050"][0] == "reproduced"
    # 9.65 M is printed, and it has 4.65 M
    assert (found["efficientnet_lite0"][0], round(found["efficientnet_lite0"][1], -4)) == ("contradicted", 4_650_000)
