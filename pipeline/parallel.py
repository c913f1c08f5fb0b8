"""Independent pieces of work on processes of this machine, or on a cluster's."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from utils.cli import say

LOST = "a process was killed, for want of memory?"
TRIES = 3  # times that a cluster's workers may be lost over one piece, before it is given up


@dataclass(frozen=True)
class Failed:
    """What takes the place of a result that could not be had.

    Attributes:
        reason: one line for a user.
    """

    reason: str


@dataclass(frozen=True)
class Means:
    """What work is done with.

    Attributes:
        jobs: processes at once, on this machine. cluster: HOST:PORT of a Dask scheduler instead, or
            None.

    Raises:
        ValueError: fewer than one job.
    """

    jobs: int = 1
    cluster: str | None = None

    def __post_init__(self) -> None:
        """Refuse settings without a meaning."""
        if self.jobs < 1:
            raise ValueError(f"jobs must be at least 1, got {self.jobs}")

    @property
    def alone(self) -> bool:
        """Return whether all is done in this process."""
        return self.jobs == 1 and self.cluster is None

    def map(
        self,
        call: Callable[[Any], Any],
        pieces: Sequence[Any],
        sizes: Sequence[float] | None = None,
    ) -> list[Any]:
        """Return call(piece) of every piece, `Failed` in place of what raised or was killed.

        Args:
            call: a function of a module. pieces: what it is called with, each can be pickled.
            sizes: how large they are; the largest are begun first. None keeps the order.

        Raises:
            ValueError: the cluster cannot be reached, or its package is not installed.
        """
        results: list[Any] = [None] * len(pieces)
        for k, result in self.each(call, pieces, sizes):
            results[k] = result
        return results

    def all(
        self,
        call: Callable[[Any], Any],
        pieces: Sequence[Any],
        sizes: Sequence[float] | None = None,
    ) -> list[Any]:
        """Return call(piece) of every piece; see `map`.

        Raises:
            ValueError: one of them failed, too.
        """
        results = self.map(call, pieces, sizes)
        for result in results:
            if isinstance(result, Failed):
                raise ValueError(f"{result.reason} (fewer --jobs need less memory)"
                                 if result.reason == LOST else result.reason)  # fmt: skip
        return results

    def each(
        self,
        call: Callable[[Any], Any],
        pieces: Sequence[Any],
        sizes: Sequence[float] | None = None,
    ) -> Iterator[tuple[int, Any]]:
        """Yield (place, result) as pieces are done; see `map`."""
        order = list(range(len(pieces)))
        if sizes is not None:
            order.sort(key=lambda k: -sizes[k])
        if self.cluster is not None:
            yield from _on_cluster(self.cluster, call, pieces, order)
        elif self.jobs == 1:
            for k in order:
                yield _guarded(call, k, pieces[k])
        else:
            yield from _on_processes(self.jobs, call, pieces, order)


def _guarded(call: Callable[[Any], Any], place: int, piece: Any) -> tuple[int, Any]:
    """Return (place, result); what it raises becomes `Failed`."""
    try:
        return place, call(piece)
    except Exception as error:  # whatever it is, the other pieces go on
        text = (str(error).strip() or type(error).__name__).splitlines()[0]
        known = isinstance(error, ValueError)
        return place, Failed(text if known else f"{type(error).__name__}: {text}")


def _in_process(
    call: Callable[[Any], Any], place: int, piece: Any, threads: int
) -> tuple[int, Any]:
    """Do the same in a process that shares the machine with others."""
    for name in ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"):
        os.environ.setdefault(name, str(threads))
    return _guarded(call, place, piece)


def _on_processes(
    jobs: int, call: Callable[[Any], Any], pieces: Sequence[Any], order: Sequence[int]
) -> Iterator[tuple[int, Any]]:
    """Do all on processes that are started once; whoever kills one is found out.

    A killed process takes all others with it. What was not done by then is done again, each piece
    in a process of its own, so that the guilty one is named.
    """
    from joblib import Parallel, delayed, parallel_config
    from joblib.externals.loky.process_executor import TerminatedWorkerError

    threads = max(1, (os.cpu_count() or 1) // jobs)
    done: set[int] = set()

    def tried(some: Sequence[int], at_once: int) -> Iterator[tuple[int, Any]]:
        calls = [delayed(_in_process)(call, k, pieces[k], threads) for k in some]
        with parallel_config("loky", inner_max_num_threads=threads):
            pool = Parallel(at_once, return_as="generator_unordered", batch_size=1)
            for place, result in pool(calls):
                done.add(place)
                yield place, result

    try:
        yield from tried(order, jobs)
        return
    except TerminatedWorkerError:
        say("a process was killed: what it had not done is done again, piece by piece")
    for k in order:
        if k in done:
            continue
        try:
            # One process beside this one: joblib does a single job here.
            yield from tried([k], 2)
        except TerminatedWorkerError:
            yield k, Failed(LOST)


def _on_cluster(
    address: str, call: Callable[[Any], Any], pieces: Sequence[Any], order: Sequence[int]
) -> Iterator[tuple[int, Any]]:
    """Do all on the workers of a Dask scheduler; what a lost worker had is done by another."""
    try:
        import dask
        from distributed import Client, as_completed
        from distributed.scheduler import KilledWorker
    except ImportError:
        rule = "--cluster needs the package distributed (requirements-cluster.txt)"
        raise ValueError(f"{rule}, got none") from None
    with dask.config.set({"distributed.scheduler.allowed-failures": TRIES}):
        try:
            client = Client(address, timeout="15s", set_as_default=False)
        except (OSError, TimeoutError, ValueError) as error:
            got = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise ValueError(
                f"--cluster must be HOST:PORT of a scheduler, got {address}: {got}"
            ) from None
        with client, client.as_current():
            futures = {}
            for rank, k in enumerate(order):
                future = client.submit(_guarded, call, k, pieces[k], pure=False, priority=-rank)
                futures[future] = k
            for future in as_completed(futures, raise_errors=False):
                lost = future.exception()
                if lost is None:
                    yield future.result()
                elif isinstance(lost, KilledWorker):
                    yield futures[future], Failed("every worker that took it was lost")
                else:
                    yield futures[future], Failed(f"{type(lost).__name__}: {lost}")
                future.release()
