"""Errors as one plain line on stderr and exit status 2, for every command."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import typer

from napari_edgeflow.errors import EdgeFlowError

_LOGGER = logging.getLogger(__name__)


@contextmanager
def plain_errors(verbose: bool = False) -> Iterator[None]:
    """Run a command's body; whatever goes wrong ends it with status 2 and a message.

    Args:
        verbose: Also log the traceback.

    Raises:
        typer.Exit: Something went wrong.
    """
    try:
        yield
    except typer.Exit:
        raise
    except (EdgeFlowError, ValueError) as error:
        _report(str(error), verbose)
    except MemoryError:
        _report(
            "expected enough memory, and there is not; close other programs, or use a smaller "
            "field of view",
            verbose,
        )
    except Exception as error:  # the edge of the program: nothing may end in a bare traceback
        _report(f"something unforeseen went wrong: {type(error).__name__}: {error}", verbose)


def _report(message: str, verbose: bool) -> None:
    if verbose:
        _LOGGER.error("traceback", exc_info=True)
    typer.echo(f"Error: {message}", err=True)
    raise typer.Exit(2)
