"""Names to factories for models, datasets and measures. Knows where they live, never what they are.

A room's folder is its list: a file of it that says `@models.register("conv_mixer")` offers that name, and is imported
only when somebody asks for it. So names can be listed and checked without importing torch.
"""

import ast
import hashlib
import importlib
import importlib.util
import inspect
import sys
from collections.abc import Callable, Sequence
from functools import cached_property, lru_cache
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

from bench.errors import UsageError, near

Factory = TypeVar("Factory", bound=Callable[..., Any])
# What code that is not bench's may raise while it is imported, built or run. No interrupt and no exit is among it.
OTHERS_ERRORS = (
    ArithmeticError, AssertionError, AttributeError, ImportError, LookupError, NameError, OSError, RuntimeError,
    SyntaxError, TypeError, ValueError,
)  # fmt: skip


class Registry:
    """One kind of thing by name. A name may carry a tail after a colon: `timm:resnet50` asks `timm` for `resnet50`."""

    def __init__(self, kind: str, home: str, given: Sequence[str] = (), leading: int = 0):
        self.kind = kind
        self.home = home
        self._given = frozenset(given)  # what every factory of the kind gets by keyword
        self._leading = leading  # how many positional arguments it gets
        self._factories: dict[str, Callable[..., Any]] = {}

    def register(self, name: str) -> Callable[[Factory], Factory]:
        """Decorator: offer a factory under `name`. A second factory of that name is an error, a reload is not."""

        def keep(factory: Factory) -> Factory:
            known = self._factories.get(name)
            if known is not None and (known.__module__, known.__qualname__) != (
                factory.__module__,
                factory.__qualname__,
            ):
                raise UsageError(
                    f"{self.kind} '{name}' is registered twice: {known.__module__} and {factory.__module__}"
                )
            self._factories[name] = factory
            return factory

        return keep

    def names(self) -> list[str]:
        """All known names, sorted, without importing a folder's modules."""
        return sorted(self._factories.keys() | self._modules.keys())

    def get(self, name: str) -> Callable[..., Any]:
        """The factory of that name (the part before a colon).

        Raises:
            UsageError: unknown name; the message offers the nearest known ones.
        """
        head = name.partition(":")[0]
        if head not in self._factories and head in self._modules:
            importlib.import_module(self._modules[head])
        if head not in self._factories:
            raise UsageError(self.unknown(name))
        return self._factories[head]

    def unknown(self, name: str) -> str:
        """The sentence for a name that is not there."""
        return f"no {self.kind} '{name}'.{near(name, self.names())}"

    def parameters(self, name: str) -> list[str] | None:
        """The keyword arguments a factory takes besides those everybody gets; None when they cannot be read.

        Read from the source, so that a suite's arguments can be checked without importing torch.
        """
        head = name.partition(":")[0]
        function = self.function(head)
        if function is None or function.args.kwarg is not None:
            return None
        return [each.arg for each in self.arguments(function)]

    def function(self, name: str) -> ast.FunctionDef | None:
        """The factory of that name as its source has it; None where there is none to read."""
        head = name.partition(":")[0]
        return _offers(self._source(head)).get(head)

    def arguments(self, function: ast.FunctionDef) -> list[ast.arg]:
        """Its arguments that a suite may name: those that everybody gets are not among them."""
        positional = function.args.args[max(self._leading - len(function.args.posonlyargs), 0) :]
        return [each for each in [*positional, *function.args.kwonlyargs] if each.arg not in self._given]

    def _source(self, head: str) -> str:
        if head in self._factories:
            return inspect.getsource(inspect.getmodule(self._factories[head]) or self._factories[head])
        spec = importlib.util.find_spec(self._modules[head]) if head in self._modules else None
        return Path(spec.origin).read_text(encoding="utf-8") if spec and spec.origin else ""

    @cached_property
    def _modules(self) -> dict[str, str]:
        """Name -> the module that registers it, read from the decorators in the folder's files."""
        spec = importlib.util.find_spec(self.home)
        assert spec is not None, self.home
        return {
            name: f"{self.home}.{path.stem}"
            for folder in spec.submodule_search_locations or ()
            for path in sorted(Path(folder).glob("*.py"))
            for name in _offers(path.read_text(encoding="utf-8"))
        }


@lru_cache
def _offers(source: str) -> dict[str, ast.FunctionDef]:
    """The functions of a file that `@….register("name")` stands above, by that name."""
    if ".register(" not in source:
        return {}
    functions = [node for node in ast.parse(source).body if isinstance(node, ast.FunctionDef)]
    return {
        str(argument.value): function
        for function in functions
        for made in function.decorator_list
        if isinstance(made, ast.Call) and isinstance(made.func, ast.Attribute) and made.func.attr == "register"
        for argument in made.args
        if isinstance(argument, ast.Constant)
    }


def load_plugin(name: str, beside: Path) -> ModuleType:
    """Import a plug-in that a suite names: a module name, or a `.py` file relative to the suite.

    Args:
        name: `some_package.models` or `my_model.py`.
        beside: the folder of the suite file.

    Raises:
        UsageError: there is no such module or file, or it cannot be imported; with its own words.
    """
    if not name.endswith(".py"):
        try:
            return importlib.import_module(name)
        except ModuleNotFoundError as error:
            # A dotted name means a module, and one that misses what it imports was found itself.
            suffix = f" A file is named with its suffix, '{name}.py'." if error.name == name and "." not in name else ""
            raise UsageError(f"plug-in '{name}': {error}.{suffix}") from error
    path = (beside / name).resolve()
    if not path.is_file():
        raise UsageError(f"plug-in '{name}': no file {beside / name}")
    # Two suites may each bring a `model.py`: the module name tells them apart by their full path.
    module_name = f"bench_plugin_{path.stem}_{hashlib.sha256(str(path).encode()).hexdigest()[:12]}"
    if module_name in sys.modules:
        return sys.modules[module_name]
    spec = importlib.util.spec_from_file_location(module_name, path)
    assert spec is not None, path
    assert spec.loader is not None, path
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module
    try:
        spec.loader.exec_module(module)
    except OTHERS_ERRORS as error:
        del sys.modules[module_name]
        raise UsageError(f"plug-in '{name}': {type(error).__name__}: {error}") from error
    return module


models = Registry("model", "bench.models", given=("num_classes", "image_size"))
datasets = Registry("dataset", "bench.data", leading=1)
measures = Registry("measure", "bench.measures", leading=2)
