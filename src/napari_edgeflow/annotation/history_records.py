"""What the records of a history say: how it begins, which steps count, what ties it to a store."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator
from typing import Any

from napari_edgeflow.annotation.changes import (
    Change,
    State,
    change_from_record,
    draft_from_json,
    draft_to_json,
)
from napari_edgeflow.annotation.classes import classes_from_json, classes_to_json
from napari_edgeflow.annotation.objects import ImageInfo, PostProcessing
from napari_edgeflow.annotation.records import Record, RecordKind
from napari_edgeflow.annotation.serialize import (
    image_from_json,
    image_to_json,
    record_from_json,
    record_to_json,
    settings_from_json,
    settings_to_json,
)

VERSION = 2
KNOWN_VERSIONS = (1, 2)


def with_cancels(
    records: Iterator[tuple[int, Record]],
) -> Iterator[tuple[int, Record, bool]]:
    """Numbers, records and whether the record after each takes it back."""
    waiting = next(records, None)
    while waiting is not None:
        following = next(records, None)
        is_cancelled = following is not None and following[1].kind == RecordKind.CANCEL
        yield (*waiting, is_cancelled and waiting[1].kind != RecordKind.CANCEL)
        waiting = following


def change_of(record: Record, is_held: bool) -> Change:
    """The change of a record; without its labels where the store holds them already."""
    if is_held:
        header = {key: value for key, value in record.header.items() if key != "patches"}
        record = Record(record.kind, header)
    return change_from_record(record)


def chained(record: Record, crc: int) -> int:
    """CRC-32 of a record, going on from that of those before it."""
    header = json.dumps(record.header, ensure_ascii=False, separators=(",", ":"))
    return zlib.crc32(record.payload, zlib.crc32(f"{record.kind} {header}".encode(), crc))


def begin_header(image: ImageInfo, state: State) -> dict[str, Any]:
    """The header of the record that a history begins with."""
    return {
        "version": VERSION,
        "image": image_to_json(image),
        "classes": classes_to_json(state.classes),
        "objects": [record_to_json(record) for record in state.objects.values()],
        "drafts": [draft_to_json(draft) for draft in state.drafts.values()],
        "settings": settings_to_json(state.settings),
    }


def read_begin(header: Any) -> tuple[ImageInfo, State]:
    """Image and state of such a header.

    Raises:
        KeyError, TypeError, ValueError: It is no such header.
    """
    records = [record_from_json(item) for item in header["objects"]]
    drafts = [draft_from_json(item) for item in header.get("drafts", ())]
    settings = header.get("settings")
    state = State(
        classes_from_json(header["classes"]),
        {record.id: record for record in records},
        {draft.plane: draft for draft in drafts},
        PostProcessing() if settings is None else settings_from_json(settings),
    )
    return image_from_json(header["image"]), state
