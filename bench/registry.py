"""Names to factories for models, datasets and measures. Knows where they live, never what they are.

A room's folder is its list: a file of it that says `@models.register("conv_mixer")` offers that name, and is imported
only when somebody asks for it. So names can be listed and checked without importing torch.
"""

import hashlib
import importlib
import importlib.util
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any, NamedTuple, TypeVar

from bench.errors import BenchError, UsageError, near
from bench.records import metrics
from bench.source import finding, following
from bench.source.finding import Module
from bench.source.offers import ANY, KINDS, Offers, offers

Factory = TypeVar("Factory", bound=Callable[..., Any])
# What code that is not bench's may raise while it is imported, built or run. No interrupt and no exit is among it.
OTHERS_ERRORS = (
    ArithmeticError, AssertionError, AttributeError, ImportError, LookupError, NameError, OSError, RuntimeError,
    SyntaxError, TypeError, ValueError,
)  # fmt: skip


class Registry:
    """One kind of thing by name. A name may carry a tail after a colon: `timm:resnet50` asks `timm` for `resnet50`."""

    def __init__(self, kind: str, home: str):
        self.kind = kind
        self.home = home
        self._factories: dict[str, Callable[..., Any]] = {}
        self._promised: dict[str, tuple[Plugin, Mapping[str, str] | None]] = {}
        self._unsaid: list[Plugin] = []

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
        return sorted(self._factories.keys() | self._modules.keys() | self._promised.keys())

    def knows(self, name: str) -> bool:
        """Whether there is such a name, or may be one: a plug-in can make names that its text does not say."""
        return bool(self._unsaid) or name.partition(":")[0] in self.names()

    def promise(self, plugin: "Plugin", named: Offers) -> None:
        """Remember what a plug-in's text offers; it is imported when one of these is asked for."""
        kind = f"{self.kind}s"
        for name, arguments in named.named.get(kind, {}).items():
            self._promised[name] = (plugin, arguments)
        if kind in named.open and plugin not in self._unsaid:
            self._unsaid.append(plugin)

    def built_in(self) -> list[str]:
        """The names that bench itself brings, sorted."""
        return sorted(self._modules)

    def get(self, name: str) -> Callable[..., Any]:
        """The factory of that name (the part before a colon).

        Raises:
            UsageError: unknown name; the message offers the nearest known ones.
        """
        head = name.partition(":")[0]
        if head in self._promised:
            load_plugin(*self._promised[head][0])  # again where its text has changed meanwhile
        if head not in self._factories and head in self._modules:
            importlib.import_module(self._modules[head])
        while head not in self._factories and self._unsaid:
            load_plugin(*self._unsaid.pop(0))
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
        found = self.signature(name)
        return None if found is None or ANY in found else list(found)

    def signature(self, name: str) -> Mapping[str, str] | None:
        """The arguments that a suite may give, each with its annotation as written; None where they cannot be read."""
        head = name.partition(":")[0]
        if head in self._promised:
            return self._promised[head][1]
        path = self.file_of(head)
        named = offers(path.read_text(encoding="utf-8")).named if path else {}
        return named.get(f"{self.kind}s", {}).get(head)

    def file_of(self, name: str) -> Path | None:
        """The file of the project's own that offers a name; None where it is a plug-in's, or there is none."""
        module = self._modules.get(name.partition(":")[0])
        spec = importlib.util.find_spec(module) if module else None
        return Path(spec.origin) if spec and spec.origin else None

    @cached_property
    def _modules(self) -> dict[str, str]:
        """Name -> the module that registers it, read from the decorators in the folder's files."""
        spec = importlib.util.find_spec(self.home)
        assert spec is not None, self.home
        return {
            name: f"{self.home}.{path.stem}"
            for folder in spec.submodule_search_locations or ()
            for path in sorted(Path(folder).glob("*.py"))
            for known in offers(path.read_text(encoding="utf-8")).named.values()
            for name in known
        }


class Evaluations(Registry):
    """Numbers that are worked out from logits and labels, each under the name of its metric."""

    def register(self, name: str, **said: Any) -> Callable[[Factory], Factory]:
        """Decorator: offer a function of logits (N, C) and labels (N,) under the name of a metric.

        Args:
            said: `unit`, `better`, `meaning` and other fields of `Metric`, where nothing else declares it.
        """
        if said:
            metrics.register(metrics.evaluated(name, **said))
        return super().register(name)


class Plugin(NamedTuple):
    """A plug-in as a suite names it: a module, or a `.py` file relative to the suite's folder."""

    name: str
    beside: Path


def read_plugin(name: str, beside: Path) -> None:
    """Learn from a plug-in's text what it registers, without running any of it.

    Raises:
        UsageError: there is no such module or file, or it is no Python; or a metric is already another one.
    """
    try:
        module = _found(name, beside)
        folder = (beside / name).resolve().parent if name.endswith(".py") else beside
        find = finding.finder(folder, None if name.endswith(".py") else name.partition(".")[0])
        followed = following.followed([module], find)
        # What an import brings that cannot be found before the plug-in has run, only running it can tell.
        every = [module, *followed.values()]
        unseen = any(_nowhere(top) for each in every for top in following.outside(each, followed))
        unseen = unseen or any(following.hides_imports(each.text) for each in every)
        for each in (module, *followed.values()):
            named = replace(offers(each.text), open=frozenset(KINDS)) if unseen else offers(each.text)
            for registry in (models, datasets, measures, evaluations):
                registry.promise(Plugin(name, beside), named)
            for positional, given in named.metrics:
                metrics.register(metrics.Metric(*positional, **given))
            for name, said in named.evaluated:
                metrics.register(metrics.evaluated(name, **said))
    except (SyntaxError, ValueError, TypeError, OSError) as error:
        raise UsageError(f"plug-in '{name}': {type(error).__name__}: {error}") from error


def load_plugins(names: Sequence[str], beside: Path) -> None:
    """Import the plug-ins of a suite: this runs their code. Raises UsageError as `load_plugin` does."""
    for name in names:
        load_plugin(name, beside)


def load_plugin(name: str, beside: Path) -> ModuleType:
    """Import a plug-in that a suite names: a module name, or a `.py` file relative to the suite.

    A file may import what lies beside it.

    Args:
        name: `some_package.models` or `my_model.py`.
        beside: the folder of the suite file.

    Raises:
        UsageError: there is no such module or file, or it cannot be imported; with its own words.
    """
    if not name.endswith(".py"):
        with _Told(name):
            return importlib.import_module(name)
    path = (beside / name).resolve()
    if not path.is_file():
        raise UsageError(f"plug-in '{name}': no file {beside / name}")
    # Two suites may each bring a `model.py`: the module name tells them apart by their full path.
    module_name = f"bench_plugin_{path.stem}_{hashlib.sha256(str(path).encode()).hexdigest()[:12]}"
    texts = _texts(name, beside)
    if module_name in sys.modules and _loaded.get(module_name) == texts:
        return sys.modules[module_name]
    for inner in _loaded.pop(module_name, {}):  # edited since: what it imported of its own is imported anew too
        sys.modules.pop(inner or module_name, None)
    spec = importlib.util.spec_from_file_location(module_name, path)
    assert spec is not None, path
    assert spec.loader is not None, path
    module = importlib.util.module_from_spec(spec)
    _search_last(path.parent)
    sys.modules[module_name] = module
    kept, sys.dont_write_bytecode = sys.dont_write_bytecode, True  # it tells an edit only by the second
    try:
        with _Told(name):
            spec.loader.exec_module(module)
    except BenchError:
        del sys.modules[module_name]
        raise
    finally:
        sys.dont_write_bytecode = kept
    _loaded[module_name] = texts
    return module


_loaded: dict[str, dict[str, str]] = {}  # a plug-in's module -> the texts it was made of, its own under no name


def _texts(name: str, beside: Path) -> dict[str, str]:
    """The text of a plug-in and of what it imports of its own project; its own alone where one of them is no Python."""
    with _Told(name):
        root = _found(name, beside)
        try:
            inner = following.followed([root], finding.finder((beside / name).resolve().parent))
        except SyntaxError:
            inner = {}
        return {"": root.text, **{key: each.text for key, each in inner.items()}}


def _found(name: str, beside: Path) -> Module:
    """The file of a plug-in, not imported."""
    module = finding.plugin_module(name, beside)
    if module is None and name.endswith(".py"):
        raise UsageError(f"plug-in '{name}': no file {beside / name}")
    if module is None:
        raise UsageError(f"plug-in '{name}': No module named '{name}'.{_suffix_hint(name)}")
    return module


def _nowhere(top: str) -> bool:
    return top not in sys.stdlib_module_names and finding.top_level(top) is None


def _search_last(folder: Path) -> None:
    """Let a plug-in import what lies beside it, after everything that is installed; of several its own folder first.

    A module of the same name that an earlier plug-in brought is forgotten: each is to get its own.
    """
    here = str(folder)
    sys.path[:] = [place for place in sys.path if place not in finding.PLUGIN_FOLDERS]
    others = [place for place in finding.PLUGIN_FOLDERS if place != here]
    finding.PLUGIN_FOLDERS[:] = [] if here in sys.path else [here]
    finding.PLUGIN_FOLDERS += others
    sys.path += finding.PLUGIN_FOLDERS
    own = {path.stem for path in folder.iterdir() if path.suffix == ".py" or path.is_dir()} - {"bench"}
    for name, module in list(sys.modules.items()):
        file = Path(getattr(module, "__file__", None) or "/")
        if name.partition(".")[0] in own and any(file.is_relative_to(place) for place in others):
            del sys.modules[name]
    importlib.invalidate_caches()


def _suffix_hint(name: str) -> str:
    """A module that is not there may be a file; a dotted name is none."""
    return "" if "." in name else f" A file is named with its suffix, '{name}.py'."


class _Told:
    """Whatever a stranger's code raises while it is imported becomes one sentence with its kind and its words."""

    def __init__(self, name: str):
        self.name = name

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if isinstance(error, BenchError) or not isinstance(error, (Exception, SystemExit)):
            return
        missing = isinstance(error, ModuleNotFoundError) and f"{self.name}.".startswith(f"{error.name}.")
        said = f"{error}.{_suffix_hint(self.name)}" if missing else f"{type(error).__name__}: {error}"
        raise UsageError(f"plug-in '{self.name}': {said}") from error


models = Registry("model", "bench.models")
datasets = Registry("dataset", "bench.data")
measures = Registry("measure", "bench.measures")
evaluations = Evaluations("evaluation", "bench.evaluations")
FROM_LOGITS = ("accuracy", "evaluate")  # the measures after which evaluations are called
