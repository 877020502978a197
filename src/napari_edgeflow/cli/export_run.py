"""What ``napari-edgeflow export`` does, once its arguments are understood."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import typer

from napari_edgeflow.cli.export_source import annotated_labels, annotated_project, is_project
from napari_edgeflow.export.formats import FORMATS, export
from napari_edgeflow.export.run import Progress


@dataclass(frozen=True, slots=True)
class ExportRequest:
    """What to export.

    Attributes:
        labels: A label image, or a project.
        form: A name of ``FORMATS``.
        out: File or folder.
        image: The image under the labels; None: the project's, or the label image itself.
        class_list: Classes of a label image; None: "object".
        values: What the values of a label image are: ``"objects"`` or ``"classes"``.
        options: Of the format, as text.
    """

    labels: Path
    form: str
    out: Path
    image: Path | None = None
    class_list: Path | None = None
    values: str = "objects"
    options: Mapping[str, str] = field(default_factory=dict)


def export_labels(request: ExportRequest) -> None:
    """Writes, and says what was written and what it does not hold.

    Raises:
        EdgeFlowError: A file cannot be read or written.
        ModuleNotFoundError: An optional package is missing; the message names it.
        ValueError: There is no such format or option, or the arguments contradict each other.
    """
    if request.form not in FORMATS:
        raise ValueError(
            f"expected a format ({', '.join(FORMATS)}), got {request.form!r}; "
            "--format list says what each is"
        )
    form = FORMATS[request.form]
    with ExitStack() as opened:
        if is_project(request.labels):
            if request.class_list is not None or request.values != "objects":
                raise ValueError(
                    "expected --class-list and --values with a label image, got the project "
                    f"{request.labels.name}, which has classes of its own; leave them out"
                )
            sets = annotated_project(request.labels, request.image, form, opened)
        else:
            sets = annotated_labels(
                request.labels,
                request.image,
                form,
                opened,
                class_list=request.class_list,
                values=request.values,
            )
        with _progress_bar(request.out.name) as progress:
            report = export(
                request.form, request.out, sets, options=dict(request.options), progress=progress
            )
    count = sum(len(one.objects) for one in sets)
    where = request.out if len(report.paths) != 1 else report.paths[0]
    typer.echo(f"{count} object{'s' * (count != 1)} · {form.title} · {where}")
    for note in report.notes:
        typer.echo(f"Note: {note}", err=True)


def list_formats() -> None:
    """Prints every format with what it cannot hold and its options."""
    for form in FORMATS.values():
        ending = form.suffix or "a folder"
        typer.echo(f"{form.name}: {form.title}, {ending}. Cannot hold: {form.cannot_hold}.")
        for option in form.options:
            allowed = f" ({', '.join(option.choices)})" if option.choices else ""
            typer.echo(f"    {option.name}={option.default}{allowed}: {option.summary}.")


@contextmanager
def _progress_bar(name: str) -> Iterator[Progress]:
    """A progress bar on stderr; on anything but a terminal it stays silent."""
    from rich.console import Console
    from rich.progress import Progress as Bars

    console = Console(stderr=True)
    with Bars(console=console, disable=not console.is_terminal) as bars:
        task = bars.add_task(name, total=1.0)
        yield lambda share: bars.update(task, completed=share)
