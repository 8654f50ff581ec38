"""Calls that an executor makes, in this process or another."""

from __future__ import annotations

import pickle
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import BrokenExecutor, CancelledError, Executor, Future
from contextlib import contextmanager
from typing import Any

from scalingdb.errors import FitError

__all__ = ["answers_of", "executor_errors", "submitted"]


@contextmanager
def executor_errors(executor: Executor) -> Iterator[None]:
    """Say what is wrong with an executor whose work fails.

    Raises
    ------
    FitError
        If an argument, such as a law that was defined inside a function, cannot be sent to another process; if the
        executor is shut down, forks, or one of its processes died.
    """
    context = getattr(executor, "_mp_context", None)
    if context is not None and context.get_start_method() == "fork":  # the default on Linux before Python 3.14
        raise FitError(
            "the executor forks its processes: Polars has threads by now, and the copies would wait for them for ever",
            "ProcessPoolExecutor(mp_context=multiprocessing.get_context('spawn')).",
        )
    try:
        yield
    except BrokenExecutor as error:
        raise FitError(
            f"a process of the executor died: {error}", "give a new executor; a process may have run out of memory."
        ) from error
    except CancelledError as error:
        raise FitError("the executor was shut down before its work was done", "give one that lives on.") from error
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        if "pickle" not in str(error) and "local object" not in str(error):  # Python 3.13 says it thus
            raise
        raise FitError(
            f"the executor cannot send the law to another process: {error}",
            "define the law at the top of a module, or use threads.",
        ) from error
    except Exception as error:
        if type(error).__module__.partition(".")[0] not in {"dask", "distributed"}:
            raise
        raise FitError(f"the cluster gave up: {error}", "look at its workers; give a new executor.") from error


def submitted(executor: Executor, function: Callable[..., Any], tasks: Iterable[tuple[Any, ...]]) -> list[Future[Any]]:
    """A job for each call.

    Raises
    ------
    FitError
        If the executor is shut down.
    """
    try:
        return [executor.submit(function, *task) for task in tasks]
    except RuntimeError as error:
        if isinstance(error, BrokenExecutor):
            raise
        raise FitError(f"the executor takes no work: {error}", "give one that is not shut down.") from error


def answers_of(executor: Executor, function: Callable[..., Any], tasks: Iterable[tuple[Any, ...]]) -> Iterator[Any]:
    """Result of each call, in order; those that nobody waits for any more are cancelled.

    Raises
    ------
    FitError
        See :func:`executor_errors`.
    """
    jobs: deque[Future[Any]] = deque()
    try:
        with executor_errors(executor):
            jobs += submitted(executor, function, tasks)
            while jobs:
                yield jobs.popleft().result()  # a job that is kept keeps its answer
    finally:
        for job in jobs:
            job.cancel()
