"""The user's own models: where they lie on disk, and the hashes that were seen the first time."""

from __future__ import annotations

import json
import os
import uuid
from contextlib import suppress
from pathlib import Path

from napari_edgeflow.errors import WeightsError

FOLDER_VARIABLE = "NAPARI_EDGEFLOW_MODELS"
"""Environment variable that names another folder for the user's models."""

_PINS = "pins.json"


def models_folder() -> Path:
    """The folder of imported and downloaded models; it need not exist yet."""
    chosen = os.environ.get(FOLDER_VARIABLE, "")
    if chosen:
        return Path(chosen).expanduser()
    from platformdirs import user_data_path

    return user_data_path("napari-edgeflow", appauthor=False) / "models"


def downloads_folder() -> Path:
    """Where published files arrive before they are converted."""
    return models_folder() / "downloads"


def make_folder(folder: Path) -> Path:
    """The folder itself, made with its parents where it is missing.

    Raises:
        WeightsError: It cannot be made or written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unwritable(folder, error) from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise _unwritable(folder, PermissionError(13, "permission denied"))
    return folder


def user_files() -> tuple[Path, ...]:
    """The safetensors files of the user's folder, by name; none when there is no folder."""
    try:
        found = [path for path in models_folder().glob("*.safetensors") if path.is_file()]
    except OSError:
        return ()
    return tuple(sorted(path for path in found if not path.name.startswith(".")))


def read_pins() -> dict[str, str]:
    """sha256 by file name, as seen when each file was first imported or downloaded.

    Raises:
        WeightsError: The list is damaged. It is never taken for empty: that would accept
            any file as the first one seen.
    """
    path = models_folder() / _PINS
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(found, dict) or not all(isinstance(v, str) for v in found.values()):
            raise ValueError("it is no table of texts")
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError) as error:
        raise WeightsError(
            f"the list of known hashes {path} cannot be read ({error}); restore it from a "
            "backup, or delete it to accept the files as they are now"
        ) from error
    return {str(name): str(value) for name, value in found.items()}


def pin(file_name: str, sha256: str) -> None:
    """Remember the hash of a file; a later file of that name must have the same.

    Raises:
        WeightsError: The list is damaged or cannot be written.
    """
    pins = read_pins() | {file_name: sha256}
    text = json.dumps(pins, indent=2, sort_keys=True) + "\n"
    write_atomically(make_folder(models_folder()) / _PINS, text.encode())


def pins_path() -> Path:
    """The file that remembers the hashes."""
    return models_folder() / _PINS


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file in one step: afterwards it is whole, or as it was before.

    Raises:
        WeightsError: There is no space or no permission; nothing is left behind.
    """
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        raise write_error(path, error) from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def write_error(path: Path, error: OSError) -> WeightsError:
    """What to tell the user when a file of the model folder cannot be written."""
    return WeightsError(
        f"{path} cannot be written: {error.strerror or error}; free some space or permit "
        f"writing there, or name another folder in the environment variable {FOLDER_VARIABLE}"
    )


def _unwritable(folder: Path, error: OSError) -> WeightsError:
    return WeightsError(
        f"the model folder {folder} cannot be used: {error.strerror or error}; permit writing "
        f"there, or name another folder in the environment variable {FOLDER_VARIABLE}"
    )
