"""Where nodes write how far their cases are, and where the run reads it: one small actor beside the cluster's head.

Keeps nothing once it is read, and decides nothing.
"""

from dataclasses import dataclass
from types import ModuleType
from typing import Any

_BESIDE_THE_HEAD = {"node:__internal_head__": 0.001}


@dataclass(frozen=True)
class News:
    """A word on an attempt: that it `began` on a node, or a `step` with how far it is."""

    attempt: int
    kind: str
    node: str
    about: Any


class Unread:
    """What nobody has read yet; it lives in a process of Ray's."""

    def __init__(self) -> None:
        self._news: list[News] = []

    def tell(self, news: News) -> None:
        """Keep it for the next look."""
        self._news.append(news)

    def take(self) -> list[News]:
        """Everything since the last look."""
        taken, self._news = self._news, []
        return taken


class Board:
    """The run's side of it: never waits for an answer."""

    def __init__(self, ray: ModuleType):
        self._ray = ray
        self.actor = ray.remote(num_cpus=0, resources=_BESIDE_THE_HEAD, max_restarts=-1)(Unread).remote()
        self._looking = self.actor.take.remote()

    def news(self) -> list[News]:
        """What has come since the last look, as far as it is here; nothing while the board cannot be reached."""
        if not self._ray.wait([self._looking], timeout=0)[0]:
            return []
        looked, self._looking = self._looking, self.actor.take.remote()
        try:
            found: list[News] = self._ray.get(looked)
        except self._ray.exceptions.RayError:  # it is started anew; what a node said meanwhile is not worth a case
            return []
        return found


def telling(ray: ModuleType, actor: Any, attempt: int) -> Any:
    """On a node: what tells the board of one attempt, without waiting."""
    node = ray.get_runtime_context().get_node_id()

    def tell(kind: str, about: Any) -> None:
        actor.tell.remote(News(attempt, kind, node, about))

    return tell
