"""Whether and where steps are saved; remembered from one start to the next."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from pathlib import Path

from napari_edgeflow._files import write_whole
from napari_edgeflow.annotation.autosave import spare_folder
from napari_edgeflow.errors import ExportError

_LOG = logging.getLogger(__name__)
_NAME = "autosave.json"


@dataclass(frozen=True, slots=True)
class Autosave:
    """What the user chose.

    Attributes:
        is_on: Steps go to disk.
        folder: Where to; None: beside each image.
    """

    is_on: bool = True
    folder: Path | None = None

    @classmethod
    def remembered(cls) -> Autosave:
        """What was chosen last; on and beside the image when nothing was."""
        try:
            content = json.loads((spare_folder() / _NAME).read_text(encoding="utf-8"))
            folder = content["folder"]
            return cls(bool(content["is_on"]), Path(folder) if folder else None)
        except FileNotFoundError:
            return cls()
        except (OSError, ValueError, KeyError, TypeError) as error:
            _LOG.warning("%s cannot be read (%s); steps are saved beside images", _NAME, error)
            return cls()

    def remember(self) -> None:
        """Keep the choice for the next start, where the system lets us."""
        content = {"is_on": self.is_on, "folder": str(self.folder) if self.folder else None}
        try:
            spare_folder().mkdir(parents=True, exist_ok=True)
            write_whole(spare_folder() / _NAME, json.dumps(content).encode())
        except (OSError, ExportError) as error:
            _LOG.warning("the choice for autosave is not remembered: %s", error)
