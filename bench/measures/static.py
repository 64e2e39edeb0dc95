"""Parameters and multiply-accumulates of a model, counted without data and, where possible, without its weights.

Trains and times nothing, and lets no operator count as zero unnoticed: what a counter does not know is a row with its
name, and counters that disagree by more than 0.1 % leave `macs` without a value, the operator named in its reason.

The model is built on the meta device, so its weights are never allocated; the CPU takes over where a model or a
counter refuses, and the rows say so. A Mixer-H/14 at 224 pixels takes a whole process 1.6 to 1.9 s and 257 MB, of which
`import torch` alone is 1.2 s and 224 MB (torch 2.13 for CPU, two shared virtual cores, the least disturbed runs).
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace

from torch import Tensor, nn
from torch.jit import ScriptModule
from torch.utils.hooks import RemovableHandle

from bench.cost.closed_forms import Counts, closed_form
from bench.execution.context import Context
from bench.measures.instruments.counters import Tally, count_fvcore, count_torch, explain_difference, listed
from bench.measures.instruments.model import build, images
from bench.measures.instruments.parameters import below, complex_note, owned_parameters, real_numbers
from bench.measures.instruments.wrappers import Attempt, tensors, unwrapped
from bench.plan.case import Case
from bench.records.measurement import Reading
from bench.registry import measures

TOLERANCE = 0.001  # of the larger count
COMPLEX_PRODUCTS = "a product of complex numbers counts as four of real ones"
DEEPEST = 2  # levels of modules whose parameters are listed: `stem` and `stem.depthwise`


@dataclass(frozen=True)
class Look:
    """One model after one counted forward pass of one image.

    `outputs` are the elements each top-level module returned. `fvcore` is None where it could not trace the model;
    `note` says what was refused, and is None where nothing was.
    """

    model: nn.Module
    outputs: dict[str, int]
    torch: Tally
    fvcore: Tally | None
    note: str | None = None


@measures.register("static")
def static(case: Case, context: Context) -> Iterator[Reading]:
    """Count the case's model in eval mode, one image, float32. Batch, precision, layout and device change nothing.

    Raises:
        UsageError: the model cannot be built from these arguments.
        RuntimeError: the model cannot run one image on the CPU either.
    """
    seen = look(replace(case, precision="float32", layout="contiguous", compiled=False))
    closed = closed_form(case.factory, case.model_args, num_classes=case.num_classes, image_size=case.image_size)
    yield from parameter_rows(seen.model, case.num_classes, closed)
    for module, elements in seen.outputs.items():
        yield Reading("output_elements", elements, part=module, reason=seen.note)
    yield from mac_rows(seen, closed)
    yield from coverage_rows(seen)


def look(case: Case) -> Look:
    """Build the case's model and count it, on the meta device if model and counters allow."""
    with Attempt() as attempt:
        model, image = unwrapped(build(case, device="meta")).eval(), images(case, batch_size=1, device="meta")
        outputs, tally = run_once(model, image)
        return Look(model, outputs, tally, count_fvcore(model, image))
    note = f"counted on the CPU with weights, because on the meta device: {first_line(attempt.refusal)}"
    model, image = unwrapped(build(case, device="cpu")).eval(), images(case, batch_size=1, device="cpu")
    outputs, tally = run_once(model, image)
    with Attempt() as attempt:
        return Look(model, outputs, tally, count_fvcore(model, image), note)
    return Look(model, outputs, tally, None, f"fvcore cannot trace the model: {first_line(attempt.refusal)}")


def run_once(model: nn.Module, image: Tensor) -> tuple[dict[str, int], Tally]:
    """torch's count of one forward pass, and the elements that each top-level module returned (at its last call)."""
    outputs: dict[str, int] = {}

    def watch(name: str, module: nn.Module) -> RemovableHandle:
        return module.register_forward_hook(lambda _module, _inputs, out: outputs.update({name: elements(out)}))

    hooks = [watch(name, module) for name, module in model.named_children() if not isinstance(module, ScriptModule)]
    try:
        return outputs, count_torch(model, image)
    finally:
        for hook in hooks:
            hook.remove()


def elements(output: object) -> int:
    """Elements of all tensors in a module's output."""
    return sum(one.numel() for one in tensors(output))


def first_line(error: Exception | None) -> str:
    """An error's kind and the first line of its message: torch's go on for pages."""
    return f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"


def parameter_rows(model: nn.Module, num_classes: int, closed: Counts | None) -> Iterator[Reading]:
    """Parameters in total, trainable, without the head and by module, and the elements held in buffers."""
    own, note = owned_parameters(model), complex_note(model.parameters())
    total, head = sum(own.values()), classifier_head(model, num_classes)
    if total == 0 and (frozen := frozen_script(model)):
        yield Reading("params", None, status="failed", reason=frozen)
    else:
        yield checked("params", total, closed.params if closed else total, note=note)
    trainable = real_numbers(one for one in model.parameters() if one.requires_grad)
    yield Reading("params_trainable", trainable, reason=note)
    if head is None:
        reason = f"no linear layer or 1 x 1 convolution has {num_classes} outputs"
        yield Reading("params_headless", None, status="failed", reason=reason)
    else:
        headless = outside(head, model)
        yield checked("params_headless", headless, closed.params_headless if closed else headless, note=note)
    yield from module_rows(model, own)
    buffers = list(model.buffers())
    yield Reading("buffer_elements", real_numbers(buffers), reason=complex_note(buffers, "elements"))


def module_rows(model: nn.Module, own: dict[str, int]) -> Iterator[Reading]:
    """The parameters of each module down to `DEEPEST`; what several share is the first one's, and the others say so."""
    for path, module in model.named_modules():
        its = list(module.parameters())
        if not path or path.count(".") >= DEEPEST or not its:
            continue
        count = below(path, own)
        shared = real_numbers(its) - count
        notes = [complex_note(its), f"{shared:,} more are those of a module before it" if shared else None]
        yield Reading("params_by_module", count, part=path, reason="; ".join(filter(None, notes)) or None)


def outside(head: nn.Module, model: nn.Module) -> int:
    """Parameters without the head: a weight that a layer outside of it has too stays."""
    inside_head = {id(module) for module in head.modules()}
    others = [module for module in model.modules() if id(module) not in inside_head]
    return real_numbers(one for module in others for one in module.parameters(recurse=False))


def frozen_script(model: nn.Module) -> str | None:
    """Why a script has no parameter: `torch.jit.freeze` made constants of them, which are not told from others."""
    if not isinstance(model, ScriptModule):
        return None
    graph = model.inlined_graph  # its nodes live as long as it does
    constants = [node for node in graph.nodes() if node.kind() == "prim::Constant" and node.hasAttribute("value")]
    frozen = any(node.kindOf("value") == "t" for node in constants)
    return "the weights of a frozen script are constants of its graph and no parameters" if frozen else None


def classifier_head(model: nn.Module, num_classes: int) -> nn.Module | None:
    """The last linear layer or 1 x 1 convolution, in the order of definition, that has `num_classes` outputs."""
    heads = [module for module in model.modules() if outputs_of(module) == num_classes]
    return heads[-1] if heads else None


def outputs_of(module: nn.Module) -> int | None:
    """Outputs of a layer that can be a head, None for any other. A scripted or traced layer keeps its class's name."""
    name, weight = getattr(module, "original_name", None), getattr(module, "weight", None)
    if not isinstance(weight, Tensor):
        return None
    if isinstance(module, nn.Linear) or name == "Linear":
        return int(weight.shape[0])
    if isinstance(module, (nn.Conv1d, nn.Conv2d, nn.Conv3d)) or name in ("Conv1d", "Conv2d", "Conv3d"):
        return int(weight.shape[0]) if set(weight.shape[2:]) == {1} else None
    return None


def checked(metric: str, counted: int, expected: int, note: str | None = None) -> Reading:
    """The count, unless the closed form says otherwise: then one of them is wrong, and neither is the answer."""
    if counted == expected:
        return Reading(metric, counted, reason=note)
    return Reading(metric, None, status="failed", reason=f"the model has {counted:,}, its closed form {expected:,}")


def mac_rows(seen: Look, closed: Counts | None) -> Iterator[Reading]:
    """Every counter's total, the value they agree on, and what each operator adds to it."""
    missed = f"without {listed(seen.torch.unknown)}" if seen.torch.unknown else None
    yield Reading("macs_torch", seen.torch.total, reason=missed or seen.note)
    if seen.fvcore is None:
        yield Reading("macs_fvcore", None, status="failed", reason=seen.note)
    else:
        missed = f"without {listed(seen.fvcore.unknown)}" if seen.fvcore.unknown else None
        yield Reading("macs_fvcore", seen.fvcore.total, reason=missed or seen.note)
    if closed is not None:
        yield Reading("macs_closed_form", closed.macs)
    problems = disagreements(seen, closed)
    if problems:
        yield Reading("macs", None, status="failed", reason="; ".join(problems))
    else:
        notes = [seen.note, COMPLEX_PRODUCTS if seen.torch.complex else None]
        yield Reading("macs", seen.torch.total, reason="; ".join(note for note in notes if note) or None)
    for operator, macs in seen.torch.macs.items():
        yield Reading("macs_by_operator", macs, part=operator.removeprefix("aten::"))  # `bmm`: suites name these


def disagreements(seen: Look, closed: Counts | None) -> list[str]:
    """Why the counters leave no agreed value; empty when they do."""
    total, problems = seen.torch.total, []
    if seen.torch.unknown:
        problems.append(f"torch does not know {listed(seen.torch.unknown)}")
    if seen.fvcore is not None and differ(total, seen.fvcore.total):
        why = explain_difference(seen.torch, seen.fvcore)
        problems.append(f"torch counts {total:,}, fvcore {seen.fvcore.total:,}: {why}")
    if closed is not None and differ(total, closed.macs):
        problems.append(f"torch counts {total:,}, the closed form {closed.macs:,}")
    return problems


def differ(one: int, other: int) -> bool:
    """Whether two counts differ by more than 0.1 % of the larger."""
    return abs(one - other) > TOLERANCE * max(one, other)


def coverage_rows(seen: Look) -> Iterator[Reading]:
    """Calls that a counter does not know, by operator, and the share of all calls that are no such calls."""
    counters = {"torch": seen.torch.unknown, "fvcore": seen.fvcore.unknown if seen.fvcore else Counter[str]()}
    for counter, unknown in counters.items():
        for operator, calls in sorted(unknown.items()):
            yield Reading("uncounted_calls", calls, part=f"{counter}: {operator}")
    missed = max(sum(unknown.values()) for unknown in counters.values())
    yield Reading("coverage_pct", 100 * (1 - missed / max(seen.torch.calls, 1)))
