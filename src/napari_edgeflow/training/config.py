"""What a training run is made of, read from one TOML file."""

from __future__ import annotations

import dataclasses
import re
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from napari_edgeflow.training.checks import impossible
from napari_edgeflow.training.settings import Losses, Phase, TrainConfig

__all__ = ["Losses", "Phase", "TrainConfig", "read_config"]

_REQUIRED = ("until", "side", "batch")


def read_config(path: Path) -> TrainConfig:
    """The run that a TOML file describes; paths in it are relative to the current folder.

    Raises:
        ValueError: The file cannot be read, is no TOML, or has settings that are unknown or
            impossible; all of them are named at once.
    """
    try:
        text = path.read_text(encoding="utf-8")
        values = tomllib.loads(text)
    except (OSError, ValueError) as error:
        raise ValueError(f"expected a TOML file with the settings of a run: {path}: {error}") from (
            error
        )
    wrong = [*_unknown(values, text), *_wrong_types(values)]
    if not wrong:
        config = _build(values)
        wrong = list(impossible(config))
    if wrong:
        raise ValueError(f"{path} cannot be used:\n" + "\n".join(f"  {line}" for line in wrong))
    return config


def _build(values: dict[str, Any]) -> TrainConfig:
    """The settings, their names and types already checked."""
    given = _tuples(values)
    if "phases" in given:
        given["phases"] = tuple(Phase(**_tuples(phase)) for phase in given["phases"])
    if "losses" in given:
        given["losses"] = Losses(**given["losses"])
    return TrainConfig(**given)


def _tuples(values: dict[str, Any]) -> dict[str, Any]:
    """A copy whose lists are tuples."""
    return {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}


def _tables(values: dict[str, Any]) -> Iterator[tuple[type, dict[str, Any], str]]:
    """(what it sets, its values, how messages name it) for the run and each table in it."""
    yield TrainConfig, values, ""
    phases = values.get("phases", [])
    for number, phase in enumerate(phases if isinstance(phases, list) else [], start=1):
        if isinstance(phase, dict):
            yield Phase, phase, f"phase {number}: "
    if isinstance(values.get("losses"), dict):
        yield Losses, values["losses"], "losses."


def _unknown(values: dict[str, Any], text: str) -> Iterator[str]:
    """One line for every key that no setting has; keys of all phases are named once."""
    prefixes = {TrainConfig: "", Phase: "phases.", Losses: "losses."}
    seen = set()
    for owner, table, _ in _tables(values):
        known = [item.name for item in dataclasses.fields(owner)]
        for key in table:
            name = prefixes[owner] + key
            if key not in known and name not in seen:
                seen.add(name)
                yield f"{_line(text, key)}unknown setting {name}; known are {', '.join(known)}"


def _line(text: str, key: str) -> str:
    """``line 7: `` for the first line that sets or opens ``key``, or nothing."""
    pattern = re.compile(rf"\s*(\[+\s*)?[\"']?{re.escape(key)}[\"']?\s*[=.\]]")
    for number, line in enumerate(text.splitlines(), start=1):
        if pattern.match(line):
            return f"line {number}: "
    return ""


def _wrong_types(values: dict[str, Any]) -> Iterator[str]:
    """One line for every known setting whose value is of another type."""
    phases = values.get("phases", [])
    if not isinstance(phases, list) or any(not isinstance(item, dict) for item in phases):
        yield "phases must be tables, each under its own [[phases]]"
    if not isinstance(values.get("losses", {}), dict):
        yield "losses must be a table, under [losses]"
    for owner, table, where in _tables(values):
        yield from _of_type(table, owner, where)
        missing = [name for name in _REQUIRED if owner is Phase and name not in table]
        if missing:
            yield f"{where}needs {', '.join(missing)}"


def _of_type(values: dict[str, Any], owner: type, where: str) -> Iterator[str]:
    """One line for every setting of ``owner`` whose value has another type."""
    for item in dataclasses.fields(owner):
        kind = str(item.type)
        if item.name not in values or kind not in _KINDS:
            continue
        value = values[item.name]
        wanted, is_right = _KINDS[kind]
        if not is_right(value):
            wanted = 'a list of folders such as ["cells/train"]' if item.name == "data" else wanted
            yield f"{where}{item.name} must be {wanted}, got {value!r}"


def _is_number(value: object) -> bool:
    """True for a finite number."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and abs(value) < float("inf")  # type: ignore[arg-type]


def _is_list(value: object, of: Callable[[object], bool]) -> bool:
    return isinstance(value, list) and all(of(item) for item in value)


def _is_table(value: object, of: Callable[[object], bool]) -> bool:
    return isinstance(value, dict) and all(of(item) for item in value.values())


def _is_text(value: object) -> bool:
    return isinstance(value, str)


_KINDS: dict[str, tuple[str, Callable[[object], bool]]] = {
    "str": ("a text", _is_text),
    "int": ("a whole number", lambda value: type(value) is int),
    "float": ("a number", _is_number),
    "bool": ("true or false", lambda value: isinstance(value, bool)),
    "tuple[str, ...]": ('a list of texts such as ["finenet"]', lambda v: _is_list(v, _is_text)),
    "tuple[float, float]": (
        "two numbers such as [1.15, 6]",
        lambda v: _is_list(v, _is_number) and len(v) == 2,  # type: ignore[arg-type]
    ),
    "dict[str, float]": ("a table of numbers by prefix", lambda v: _is_table(v, _is_number)),
    "dict[str, str]": ("a table of prefixes by prefix", lambda v: _is_table(v, _is_text)),
}
