"""Counts the bytes of the tensors that are alive, from birth to death.

Sees tensors, not the process: no interpreter, no memory that an allocator holds in reserve.
"""

import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class LiveBytes(TorchDispatchMode):
    """Bytes of the tensors alive now and at the most; a storage that several tensors share counts once.

    Knows the tensors that it was given at the start and those that operators returned since.
    """

    def __init__(self, held: Iterable[Tensor]):
        super().__init__()  # type: ignore[no-untyped-call]  # torch says no type of it
        self.now = self.peak = 0
        self._alive: set[int] = set()
        for tensor in held:
            self._count(tensor)

    def __torch_dispatch__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(result):
            if isinstance(leaf, Tensor):
                self._count(leaf)
        return result

    def _count(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        key, size = storage._cdata, storage.nbytes()
        if key in self._alive:
            return
        self._alive.add(key)
        self.now += size
        self.peak = max(self.peak, self.now)
        weakref.finalize(storage, self._forget, key, size)

    def _forget(self, key: int, size: int) -> None:
        self._alive.discard(key)
        self.now -= size
