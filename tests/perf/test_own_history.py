"""Two commits of this repository that differ in speed are told apart, in either direction.

Commit 4801a2c gave each thread of a CPU a part of every training batch; its changelog tells of 1.3 times as many images
per second. A model whose forward pass is an epoch of training, by the trainer of the tree that builds it, is compared
as a check compares any model: in pairs of processes, each with its own tree's code.
"""

import pytest

from bench import machine
from bench.gate import rule
from bench.gate.pairs.compare import Side, Subject, compare, values
from bench.gate.trees import side_by_side
from bench.git import CommitMissing, full_name
from bench.suite.guard import Rule
from tests.making import ROOT

FASTER = "4801a2c"
PLUGIN = """
import torch
from torch import nn

from bench.context import Context
from bench.recipes import Recipe
from bench.registry import datasets, models
from bench.training.loop import train

RECIPE = {"epochs": 1, "batch_size": 128, "optimizer": "adamw", "lr": 1e-3}


class OneEpoch(nn.Module):
    def __init__(self, sizes):
        super().__init__()
        self.net = models.get("mlp_mixer")(**sizes)
        self.images = datasets.get("synthetic")(None, n_train=256, n_test=16)
        self.recipe = Recipe.from_mapping(RECIPE)

    def forward(self, x):
        with torch.inference_mode(False), torch.enable_grad():
            list(train(self.net, self.images, self.recipe, seed=0, context=Context(threads=2)))
        return x


@models.register("one_epoch")
def one_epoch(**sizes):
    return OneEpoch(sizes)
"""
MIXER = {"patch_size": 4, "width": 128, "depth": 2, "token_mlp": 64, "channel_mlp": 256, "dropout": 0.15}


@pytest.mark.skipif(machine.cores() < 2, reason="with one core no batch is shared")
def test_the_commit_that_made_training_faster_is_faster_and_its_parent_slower(tmp_path):
    try:
        commits = {name: full_name(ROOT, name) for name in (FASTER, f"{FASTER}~1")}
    except CommitMissing:
        pytest.skip("this clone has only a part of the history")
    limits = rule.limits(Rule(why="as the guards"), 1)
    subject = Subject("one epoch", "one_epoch", MIXER, 10, 32, 1, threads=2, plugins=("one_epoch.py",))
    with side_by_side(ROOT, commits[f"{FASTER}~1"], commits[FASTER], tmp_path) as trees:
        sides = []
        for tree in (trees.baseline, trees.candidate):
            (tree / "one_epoch.py").write_text(PLUGIN, encoding="utf-8")
            sides.append(Side(tree))
        told = {}
        for name, (first, second) in {"parent -> commit": sides, "commit -> parent": sides[::-1]}.items():
            (speed,) = compare([subject], first, second, limits, seed=1, time_limit_s=600)
            assert speed.failure is None
            told[name] = rule.change(values(speed.rounds), values(speed.confirmation), limits)
            print(f"\n{name}: {told[name].word}: {told[name].line}", end="")
    print()
    assert told["parent -> commit"].word == "faster"
    assert told["commit -> parent"].word == "regression"
