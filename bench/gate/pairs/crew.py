"""Who works for a comparison: forks of one server for each interpreter and number of threads, or new interpreters.

Times nothing. What is still alive is killed when the comparison ends, also when a signal ends it.
"""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager

from bench.execution.processes import WorkerFailed, can_fork, deadline
from bench.execution.signals import ending_cleanly, undisturbed
from bench.gate.pairs.processes import PairWorker, Server, environment, new_worker

PADDING = "BENCH_PADDING"


class Crew:
    """Starts workers for sides and subjects. `forking` says how; servers are started when first needed."""

    def __init__(self, device: str, variables: Mapping[str, str], limit_s: float):
        self.forking = can_fork(device)
        self._device, self._variables, self._limit_s = device, variables, limit_s
        self.servers: dict[tuple[str, int], Server] = {}

    def worker(self, side: str, python: str, threads: int, padding_bytes: int) -> PairWorker:
        """A fresh worker that has not got its job yet.

        Raises:
            WorkerFailed: it could not be started.
        """
        variables = environment(threads, self._variables)
        if not self.forking:
            # On the new process's stack, this moves the frames of everything that follows.
            return new_worker(side, python, variables | {PADDING: "." * padding_bytes})
        server = self.servers.get((python, threads))
        if server is None:
            server = self.servers[python, threads] = Server(side, python, variables)
        with deadline(self._limit_s, server.kill) as late:
            try:
                return server.worker(side)
            except WorkerFailed as failure:
                self.servers.pop((python, threads)).close()
                if late.is_set():
                    reason = f"torch could not be imported within {self._limit_s:g} s"
                    raise WorkerFailed(side, "start", reason) from failure
                raise

    def close(self) -> None:
        """End every server, and with it what it forked."""
        with ExitStack() as stack:
            for server in self.servers.values():
                stack.callback(server.close)
        self.servers.clear()


@contextmanager
def crew(device: str, variables: Mapping[str, str], limit_s: float) -> Iterator[Crew]:
    """A crew, sent home at the end, whatever the end is.

    Args:
        variables: what the environment of all workers is made from.
        limit_s: for the start of a server.
    """
    with ending_cleanly():
        made = Crew(device, variables, limit_s)
        try:
            yield made
        finally:
            with undisturbed():
                made.close()
