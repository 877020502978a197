"""``napari-edgeflow models``: what there is to segment with."""

from __future__ import annotations

from napari_edgeflow.cli.plain_errors import plain_errors


def models() -> None:
    """List the models: name, whether it is bundled, size, licence and summary."""
    with plain_errors():
        from rich.console import Console
        from rich.table import Table

        from napari_edgeflow.zoo.catalog import list_models

        table = Table("Name", "Bundled", "Size", "Licence", "Summary")
        for info in list_models():
            table.add_row(
                info.name, "yes" if info.bundled else "no", "?", info.licence, info.summary
            )
        Console().print(table)
