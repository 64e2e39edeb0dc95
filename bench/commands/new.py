"""`bench new FOLDER`: a suite and a model file that run as they stand, with every table explained, to be written over.

Overwrites nothing.
"""

import re
from pathlib import Path

from bench.errors import UsageError

_MODEL = '''"""The model of {name}: write yours in place of this one."""

from torch import nn

from bench.registry import models


# The name is what `factory` says in the suite. num_classes and image_size are always handed over; every other argument
# is one that the suite may give under `args`.
@models.register("{name}")
def {name}(*, num_classes: int, image_size: int, width: int = 16) -> nn.Module:
    """Images (B, 3, image_size, image_size) -> logits (B, num_classes)."""
    return nn.Sequential(
        nn.Conv2d(3, width, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Conv2d(width, width, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(width, num_classes),
    )
'''
_SUITE = """# bench validate {name}.toml      says everything that is wrong with this file, at once
# bench run {name}.toml           measures, and says which claims hold
# bench report {name}.toml        draws the page
# bench schema > suite.schema.json, and a first line `#:schema suite.schema.json`, let an editor complete and check it.

schema = 1
id = "{name}"                        # letters, digits and underscores; the rows in the store carry it
question = "Does the paper's table hold?"
summary = "What is measured here and why, in a few sentences."
plugins = ["{name}.py"]              # files beside this one, or installed modules, that register models

# Sources: where the numbers were published. Each claim names one.
[sources.paper]
title = "The title of the paper"
kind = "paper"                       # paper, report, code, summary, notebook, logs
authors = "Who wrote it"
year = 2025
url = "https://example.org"

# Models: a registered factory with its arguments. timm:NAME and torchvision:NAME need no file.
[models.small]
factory = "{name}"
label = "Small net"                  # what the report calls it
num_classes = 10
image_size = 32
args = {{ width = 16 }}

[models.wide]
factory = "{name}"
label = "Wide net"
num_classes = 10
image_size = 32
args = {{ width = 32 }}

# Data sets. This one is inside the package; `bench list datasets` names the others.
[datasets.cifar10]
name = "cifar10_sample"
label = "CIFAR-10 sample"
classes = 10

# Recipes: how to train. `settings` knows optimiser, schedule, augmentation, precision and more.
[recipes.short]
label = "one epoch"
source = "paper"
settings = {{ epochs = 1, batch_size = 128, optimizer = "adamw", lr = 3e-3, augment = [{{ name = "flip" }}] }}

# Measures: what to measure of which models. The key opens the names of the cases, as in --only 'static/*'.
[measures.static]                    # parameters and multiply-accumulates, counted three ways
models = ["*"]

[measures.accuracy]                  # train and evaluate
models = ["small"]                   # keys, or patterns such as "s*"
datasets = ["cifar10"]
recipes = ["short"]
seeds = 1

# Profiles: how much to measure. A reduced one never decides what needs the full recipe.
[profiles.full]
label = "full"
reduced = false
default = true

# Quantities: names for numbers. A constant has a value with unit and source, or is printed; anything else is a metric
# of the cases that its keys select.
[quantities]
small_size = {{ metric = "params", model = "small" }}
wide_size = {{ metric = "params", model = "wide" }}
small_top1 = {{ metric = "test_top1_pct", model = "small" }}
images = {{ printed = "50,000 images", source = "paper", where = "section 4" }}

# Claims: what the source says, where, and the expression over quantities that must give it.
[claims.C1]
says = "The small net has 2.9 k parameters"
kind = "recount"                     # recount, arithmetic, retrain, speed, cost, ordering, structure, open
source = "paper"
where = "Table 1"
printed = "2.9 k"                    # as it stands there: gives the value, and half a unit of its last digit
unit = "parameters"
measured = "small_size"

[claims.C2]
says = "The wide net has more than three times as many"
kind = "ordering"
source = "paper"
where = "section 3"
unit = "ratio"
measured = "wide_size / small_size"
above = 3.0                          # or below, between, or published with a tolerance
tolerance_why = "the text says 'more than three times'"

[claims.C3]
says = "One epoch beats guessing"
kind = "ordering"
source = "paper"
where = "section 4"
unit = "%"
measured = "small_top1"
above = 10.0
tolerance_why = "ten classes of equal size: guessing gives 10 %"
min_seeds = 1                        # what is learned takes three unless this says otherwise
"""


def write(folder: Path) -> list[Path]:
    """The suite and the model file of a new folder, which gives them their name.

    Raises:
        UsageError: the folder's name cannot be one, or a file is there already; nothing is written then.
    """
    name = re.sub(r"\W+", "_", folder.resolve().name, flags=re.ASCII).strip("_").lower()
    if not name[:1].isalpha():
        raise UsageError(f"'{folder.name}' gives a suite no name: one begins with a letter, such as my_paper")
    texts = {folder / f"{name}.toml": _SUITE, folder / f"{name}.py": _MODEL}
    if there := [str(path) for path in texts if path.exists()]:
        raise UsageError(f"{' and '.join(there)}: there already, and nothing is overwritten")
    folder.mkdir(parents=True, exist_ok=True)
    for path, text in texts.items():
        path.write_text(text.format(name=name), encoding="utf-8")
    return list(texts)
