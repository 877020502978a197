"""``napari-edgeflow models``: what there is to segment with."""

from __future__ import annotations

from napari_edgeflow.cli.plain_errors import plain_errors


def models() -> None:
    """List the models: name, whether it is bundled, size, licence and summary."""
    with plain_errors():
        from rich import box
        from rich.console import Console
        from rich.table import Table

        from napari_edgeflow.zoo.catalog import list_models

        table = Table(box=box.SIMPLE_HEAD)
        table.add_column("Name", no_wrap=True)
        table.add_column("Bundled", no_wrap=True)
        table.add_column("Size", justify="right", no_wrap=True)
        table.add_column("Licence", overflow="fold")
        table.add_column("Summary", overflow="fold")
        for number, info in enumerate(list_models()):
            name = f"{info.name} (default)" if number == 0 else info.name
            bundled = "yes" if info.bundled else "no"
            table.add_row(name, bundled, format_size(info.size_bytes), info.licence, info.summary)
        Console().print(table)


def format_size(size_bytes: int) -> str:
    """The size in MB for people, or "missing" for a file that is not there."""
    return f"{size_bytes / 1e6:.1f} MB" if size_bytes else "missing"
