"""Which source answers a case: a fingerprint of the code that makes its model, from syntax trees. Runs none of it.

Into it go: the file that registers the model and every file of the same project that it imports, of a comparison both
models, and the file of a measure or a data set that a plug-in brings; of the files in `bench/models` their own text and
their parents' there. What they import from the rest of `bench` does not enter, under whatever name it goes: our own
measures are guarded by protocol numbers, our data by digests. Installed libraries enter by version, but for torch,
whose version is a condition of its own. Weights and scripts that the arguments name, or that a plug-in names in its
text, enter by their bytes. Shapes of parameters do not: they follow from source and arguments, and knowing them takes
torch. A model looked up by a name that is made at run time is seen by whoever makes the name, not by its text.

What only running the code can show, modules that are imported by a name that is made at run time and data that a model
reads beside it, is told by the worker that ran it (`source.tracing`) and enters afterwards, by `with_reads`.
"""

import hashlib
import importlib.metadata
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import bench
from bench.errors import UsageError
from bench.plan import command_sources
from bench.plan.case import Case
from bench.records.measurement import CodePart, canonical_json
from bench.registry import FROM_LOGITS
from bench.source import finding, following, meaning, remembered, tracing
from bench.source.finding import Module
from bench.source.offers import offers

_HOME = "bench.models"
_LIBRARIES = ("timm", "torchvision")  # what a model of ours is a name in
# A constant of a plug-in counts as a file it reads when it ends like one; what a plug-in writes ends otherwise.
_READ = (".pt", ".pth", ".ckpt", ".safetensors", ".bin", ".onnx", ".h5", ".pkl", ".py", ".sh", ".yaml", ".yml")
_LONGEST_NAME = 255


@dataclass(frozen=True)
class Fingerprint:
    """A digest, what it was made of, and which libraries that enter it are not installed here."""

    sha256: str
    parts: tuple[CodePart, ...]
    unknown: frozenset[str] = frozenset()


Texts = Mapping[str, str]  # file name -> source, of `bench/models`


def models_here() -> Texts:
    """The files of `bench/models` as they are now."""
    folder = Path(bench.__file__).parent / "models"
    return {path.name: path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.py"))}


def version_here(library: str) -> str | None:
    """The installed version of a library by the name it is imported under; None where it is not there."""
    names = (
        [library, *importlib.metadata.packages_distributions().get(library, ())] if finding.top_level(library) else []
    )
    for name in names:
        try:
            return importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return None


class Code:
    """The code behind the cases of one suite.

    Args:
        plugins: as the suite names them.
        beside: the suite's folder.
        home: the files of `bench/models`; another commit's for rows that it made.
        version: of an installed library.
    """

    def __init__(
        self,
        plugins: Sequence[str],
        beside: Path,
        home: Texts | None = None,
        version: Callable[[str], str | None] = version_here,
    ):
        self._names = list(plugins)
        self._beside = beside
        self._texts = models_here() if home is None else home
        self._version = version
        self._closures: dict[str, tuple[CodePart, ...]] = {}
        self._versions: dict[str, str | None] = {}
        self._known: dict[str, Fingerprint | None] = {}
        self._reads: dict[str, CodePart | None] = {}

    def of(self, case: Case) -> Fingerprint | None:
        """The fingerprint of a case; None where no text says who makes its model.

        Raises:
            UsageError: a file of the plug-ins is no Python.
        """
        asked = canonical_json(
            {
                key: case.question[key]
                for key in ("factory", "model_args", "options", "measure", "dataset", "dataset_args", "weights")
                if key in case.question
            }
        )
        if asked not in self._known:
            self._known[asked] = self._made(case)
        return self._known[asked]

    def _made(self, case: Case) -> Fingerprint | None:
        if case.measure == "command":
            return self._of_command(case)
        roots = {"model": self._makers(case.factory, "models")}
        if isinstance(other := case.options.get("versus"), Mapping):
            roots["versus"] = self._makers(str(other.get("factory")), "models")
        if not all(roots.values()):
            return None
        roots["measure"] = self._of_plugins(case.measure, "measures")
        if case.measure in FROM_LOGITS:
            roots["evaluation"] = self._evaluations()
        roots["data"] = self._of_plugins(case.dataset, "datasets") if case.dataset else []
        try:
            closures = {role: [self._closure(*root) for root in found] for role, found in roots.items()}
        except (SyntaxError, ValueError, OSError) as error:
            raise UsageError(f"the code of '{case.model}': {error}") from error
        heads = {*_heads(case), *([str(other.get("factory")).partition(":")[0]] if other else [])}
        inner = [part for found in closures.values() for parts in found for part in parts]
        parts = dict.fromkeys([*inner, *self._libraries(heads & {*_LIBRARIES}), *self._files(case, inner)])
        first = [f"{role} {parts_of[0].sha256}" for role, found in closures.items() for parts_of in found if parts_of]
        rest = sorted({f"{part.kind} {part.label * (part.kind != 'module')} {part.sha256}" for part in parts})
        unknown = frozenset(part.label for part in parts if part.kind == "library" and not part.text)
        return Fingerprint(_sha256("\n".join([*first, *rest])), tuple(parts), unknown)

    def with_reads(self, case: Case, reads: Sequence[CodePart]) -> Fingerprint | None:
        """The fingerprint of a case that has read these files as well; what its text names anyway is not told twice."""
        now = self.of(case)
        texts = {path.resolve() for path in self.files()}
        bytes_ = {part.sha256 for part in now.parts if part.kind == "file"} if now else set()
        told = [
            each
            for each in reads
            if each.sha256 not in bytes_
            and ((path := tracing.found(each.label, self._places)) is None or path.resolve() not in texts)
        ]
        return now and _joined(now, told)

    def again(self, case: Case, then: Sequence[CodePart]) -> Fingerprint | None:
        """Today's fingerprint of a case that reads the files it read then; a file that is not here is left out."""
        now = self.of(case)
        labels = [part.label for part in then if part.kind == "read"]
        return now and _joined(now, [found for label in labels if (found := self._read(label))])

    def _read(self, label: str) -> CodePart | None:
        if label not in self._reads:
            path = tracing.found(label, self._places)
            self._reads[label] = None if path is None else tracing.part(label, path)
        return self._reads[label]

    @cached_property
    def _places(self) -> list[tracing.ProjectFolder]:
        return tracing.places_of(self._names, self._beside)

    def _of_command(self, case: Case) -> Fingerprint | None:
        try:
            parts = command_sources.parts(case.options, self._beside)
        except OSError as error:
            raise UsageError(f"the sources of '{case.measure_key}': {error}") from error
        text = "\n".join(f"{part.label} {part.sha256}" for part in parts)
        return Fingerprint(hashlib.sha256(text.encode()).hexdigest(), tuple(parts)) if parts else None

    def files(self) -> list[Path]:
        """The plug-ins and what they import of their own project."""
        return [each.path for modules, _ in self._plugins for each in modules if each.path]

    # Who makes it

    @cached_property
    def _plugins(self) -> list[tuple[list[Module], finding.Find]]:
        """Each plug-in's file and those that it imports, with what finds them."""
        found = []
        for name in self._names:
            find = self._finder(name)
            if (module := finding.plugin_module(name, self._beside)) is not None:
                inner = following.followed([module], find)
                found.append(([module, *(each for each in inner.values() if not self._is_ours(each))], find))
        return found

    def _finder(self, name: str) -> finding.Find:
        folders = [(self._beside / each).resolve().parent for each in self._names if each.endswith(".py")]
        own = finding.finder(
            (self._beside / name).resolve().parent if name.endswith(".py") else self._beside,
            None if name.endswith(".py") else name.partition(".")[0],
            folders,
        )
        return lambda dotted: self._ours(dotted) or own(dotted)

    def _ours(self, dotted: str) -> Module | None:
        package, _, stem = dotted.rpartition(".")
        text = self._texts.get(f"{stem}.py") if package == _HOME else None
        return None if text is None else Module(dotted, f"{stem}.py", text, _HOME)

    def _is_ours(self, module: Module) -> bool:
        return module.name.startswith(f"{_HOME}.")

    def _makers(self, name: str, kind: str) -> list[tuple[Module, finding.Find]]:
        head = name.partition(":")[0]
        if found := self._of_plugins(name, kind):
            return found
        for file, text in self._texts.items():
            if head in offers(text).named.get(kind, {}):
                module = self._ours(f"{_HOME}.{file.removesuffix('.py')}")
                return [(module, self._ours)] if module else []
        unsaid = [(each, find) for modules, find in self._plugins for each in modules if kind in offers(each.text).open]
        # Nothing registers it in so many words: whatever the plug-ins are, one of them does.
        return unsaid or [(modules[0], find) for modules, find in self._plugins]

    def _of_plugins(self, name: str, kind: str) -> list[tuple[Module, finding.Find]]:
        head = name.partition(":")[0]
        every = ((each, find) for modules, find in self._plugins for each in modules)
        return [(each, find) for each, find in every if head in offers(each.text).named.get(kind, {})][:1]

    def _evaluations(self) -> list[tuple[Module, finding.Find]]:
        every = [(each, find) for modules, find in self._plugins for each in modules]
        return [(each, find) for each, find in every if offers(each.text).named.get("evaluations")]

    # What it is made of

    def _closure(self, root: Module, find: finding.Find) -> tuple[CodePart, ...]:
        """The root first, then what it imports; libraries last."""
        key = f"{root.path or root.name}"
        if key not in self._closures:
            inner = following.followed([root], find)
            inner = {name: module for name, module in inner.items() if module.path is None or module.path != root.path}
            said = meaning.digests(inner, {"": root})
            modules = [(said[""], root), *((said[name], module) for name, module in inner.items() if said[name])]
            parts = [CodePart("module", each.label, sha256, meaning.readable(each)) for sha256, each in modules]
            tops = {top for _, each in modules if not self._is_ours(each) for top in self._foreign(each, inner)}
            self._closures[key] = (*parts, *self._libraries(tops))
        return self._closures[key]

    def _foreign(self, module: Module, inner: Mapping[str, Module]) -> Iterator[str]:
        """The libraries that a file imports, torch and what belongs to Python left out."""
        for top in following.outside(module, inner):
            if top not in ("torch", "bench", "") and top not in sys.stdlib_module_names:
                yield top
        if "bench.torchvision_import" in following.all_names(module):
            yield "torchvision"

    def _libraries(self, names: Iterator[str] | set[str]) -> list[CodePart]:
        found = []
        for name in sorted(names):
            if name not in self._versions:
                self._versions[name] = self._version(name)
            version = self._versions[name] or ""
            found.append(CodePart("library", name, _sha256(version), version))
        return found

    def named_files(self, case: Case) -> list[Path]:
        """The weights and scripts that enter the fingerprint of a case."""
        found = self.of(case)
        return list(self._named(case, found.parts)) if found else []

    def _files(self, case: Case, parts: Sequence[CodePart]) -> Iterator[CodePart]:
        for path in self._named(case, parts):
            yield CodePart("file", path.name, remembered.file_sha256(path), "")

    def _named(self, case: Case, parts: Sequence[CodePart]) -> Iterator[Path]:
        """Weights and scripts that are named in what is asked, or in the text of a plug-in."""
        said = {*_texts_in(case.model_args), *_texts_in(case.options)}
        own = [part for part in parts if part.kind == "module" and part.label not in self._texts]
        said |= {text for part in own for text in meaning.constants(part.text) if text.endswith(_READ)}
        places = [self._beside, *((self._beside / name).parent for name in self._names if name.endswith(".py")), Path()]
        for text in sorted(said):
            for place in places:
                if path := _file(place, text):
                    yield path
                    break


def _heads(case: Case) -> Iterator[str]:
    """What stands before the colon of the model's name, and of the name whose configuration prepares the images."""
    yield case.factory.partition(":")[0]
    prepared = (case.weights or {}).get("preprocess")
    if isinstance(prepared, str):
        yield prepared.partition(":")[0]


def _joined(now: Fingerprint, reads: Sequence[CodePart]) -> Fingerprint:
    """With what was read beside the code, where there is any."""
    if not reads:
        return now
    told = sorted({f"read {part.label} {part.sha256}" for part in reads})
    return replace(now, sha256=_sha256("\n".join([now.sha256, *told])), parts=(*now.parts, *reads))


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _file(place: Path, text: str) -> Path | None:
    """The file that a text names, seen from a folder."""
    if not text or len(text) > _LONGEST_NAME or "\n" in text or "\0" in text:
        return None
    try:
        return path if (path := place / Path(text).expanduser()).is_file() else None
    except (OSError, RuntimeError):
        return None


def _texts_in(value: Any) -> Iterator[str]:
    """Every text in nested tables and lists."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from _texts_in(inner)
    elif isinstance(value, (list, tuple)):
        for inner in value:
            yield from _texts_in(inner)
