"""Paddle's pickles are read as arrays, and whatever else they ask for is not done."""

from __future__ import annotations

import pickle
import struct
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_edgeflow.errors import WeightsError
from napari_edgeflow.zoo import unpickle
from napari_edgeflow.zoo.unpickle import read_pdparams

from .checkpoints import Bomb, arange, write_pdparams


def _arrays() -> dict[str, Any]:
    return {
        "a": arange(2, 3, 4),
        "b": np.asfortranarray(arange(3, 5, dtype="f8")),
        "c": np.array(2.5, np.float16),
        "d": arange(4, dtype=">f4"),
        "e": arange(5, dtype="i8"),
        "f": np.zeros((0, 3), np.float32),
        "g": arange(6, 4)[::2, 1:],
        "h": np.array([255, 128, 0, 10, 13], np.uint8),
    }


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_arrays_come_back(tmp_path: Path, protocol: int) -> None:
    expected = _arrays()
    if protocol == 2:
        del expected["f"]  # no bytes at all are written as a call there
    named = expected | {"StructuredToParameterName@@": {"a": "conv2d_0.w_0"}}
    found = read_pdparams(write_pdparams(named, tmp_path / "w.pdparams", protocol))
    assert list(found) == list(expected)
    for name, array in expected.items():
        assert found[name].dtype == array.dtype
        assert np.array_equal(found[name], array), name


def test_files_written_with_older_numpy(tmp_path: Path) -> None:
    path = write_pdparams({"a": arange(2, 3)}, tmp_path / "w.pdparams", 2)
    content = path.read_bytes()
    assert b"cnumpy._core.multiarray\n" in content
    path.write_bytes(content.replace(b"cnumpy._core.multiarray\n", b"cnumpy.core.multiarray\n"))
    assert np.array_equal(read_pdparams(path)["a"], arange(2, 3))


@pytest.mark.parametrize("protocol", [2, 4])
@pytest.mark.parametrize("where", ["alone", "value", "key", "inside"])
def test_code_in_a_pickle_is_not_run(tmp_path: Path, protocol: int, where: str) -> None:
    flag = tmp_path / "ran"
    content: Any = {
        "alone": Bomb(flag),
        "value": {"a": arange(2), "b": Bomb(flag)},
        "key": {(1, Bomb(flag)): arange(2)},
        "inside": {"StructuredToParameterName@@": {"a": [Bomb(flag)]}, "a": arange(2)},
    }[where]
    path = tmp_path / "w.pdparams"
    path.write_bytes(pickle.dumps(content, protocol=protocol))
    with pytest.raises(WeightsError, match=r"asks to run (posix|nt)\.system.*None of it was run"):
        read_pdparams(path)
    assert not flag.exists()
    pickle.loads(path.read_bytes())
    assert flag.exists(), "the file was no threat: this test proves nothing"


class _Calls:
    def __init__(self, function: Any, *arguments: Any) -> None:
        self.answer = function, arguments

    def __reduce__(self) -> Any:
        return self.answer


@pytest.mark.parametrize(
    "value",
    [
        _Calls(eval, "1"),
        _Calls(getattr, "a", "b"),
        _Calls(open, "/etc/hostname"),
        _Calls(np.load, "x.npy"),
        _Calls(np.frombuffer, b"abcd"),
        OrderedDict(a=1),
        np.float32(2),
        {1, 2},
        np.array([object()]),
        np.array(["text"]),
        np.zeros(2, [("x", "f4")]),
        np.ma.masked_array([1.0, 2.0], [True, False]),
    ],
    ids=lambda value: type(value).__name__,
)
def test_anything_but_plain_arrays_is_refused(tmp_path: Path, value: Any) -> None:
    path = write_pdparams({"a": value}, tmp_path / "w.pdparams")
    with pytest.raises(WeightsError, match="expected a Paddle checkpoint"):
        read_pdparams(path)


def test_a_stand_in_cannot_be_changed_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "w.pdparams"
    for name in (b"cnumpy\ndtype\n", b"cnumpy\nndarray\n", b"c_codecs\nencode\n"):
        for state in (b"}U\x01aK\x01sb.", b"N}U\x01aK\x01s\x86b."):
            path.write_bytes(b"\x80\x02" + name + state)
            with pytest.raises(WeightsError, match="cannot be read as a checkpoint"):
                read_pdparams(path)


_ONE = pickle.dumps({"a": arange(8)}, protocol=4)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x80",
        b"\x80\x04",
        _ONE[:-1],
        _ONE[:60],
        b"\x80\x04" + b"\x8e" + struct.pack("<Q", 2**40) + b"abc.",
        b"\x80\x04" + b"\x96" + struct.pack("<Q", 2**40) + b"abc.",
        b"\x80\x04" + b"X" + struct.pack("<I", 2**31) + b"abc.",
        b"\x80\x04N" + b"r" + struct.pack("<I", 2**31) + b".",
        b"\x80\x04" + b"(" * 100 + b".",
        b"\x80\x04K\x01.",
        b"\x80\x04}.",
        b"\x80\x04]" + b"\x94h\x00a" + b".",
        b"\x80\x02cnumpy\ndtype\n(U\x02f4K\x00K\x01tR}U\x01aK\x01sb.",
        b"just text\n",
    ],
    ids=range(15),
)
def test_broken_and_oversized_files(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "w.pdparams"
    path.write_bytes(content)
    with pytest.raises(WeightsError, match="expected a Paddle checkpoint") as caught:
        read_pdparams(path)
    assert str(path) in str(caught.value)


def _with_state(shape: tuple[int, ...], content: bytes) -> bytes:
    """A pickle of one array whose notes say this shape and these bytes."""

    class Liar:
        def __reduce__(self) -> Any:
            whole = arange(2).__reduce__()
            return whole[0], whole[1], (1, shape, np.dtype("f4"), False, content)

    return pickle.dumps({"a": Liar()}, protocol=4)


@pytest.mark.parametrize(
    ("shape", "content"),
    [((2**40,), b"1234"), ((-1,), b"1234"), ((2, 2), b"1234"), ((2**20, 2**20, 2**24), b"")],
)
def test_arrays_that_claim_another_size(
    tmp_path: Path, shape: tuple[int, ...], content: bytes
) -> None:
    path = tmp_path / "w.pdparams"
    path.write_bytes(_with_state(shape, content))
    with pytest.raises(WeightsError, match="damaged at 'a'"):
        read_pdparams(path)


def test_one_array_under_many_names_cannot_fill_the_memory(tmp_path: Path) -> None:
    array = arange(1000)
    path = write_pdparams({str(n): array for n in range(100)}, tmp_path / "w.pdparams")
    with pytest.raises(WeightsError, match="more memory than the file has bytes"):
        read_pdparams(path)


def test_too_many_steps_and_too_large_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_pdparams({"a": arange(100)}, tmp_path / "w.pdparams")
    monkeypatch.setattr(unpickle, "_MAX_STEPS", 5)
    with pytest.raises(WeightsError, match="more than 5 steps"):
        read_pdparams(path)
    monkeypatch.setattr(unpickle, "MAX_FILE_BYTES", 100)
    with pytest.raises(WeightsError, match="choose another file"):
        read_pdparams(path)


def test_an_optimiser_s_state(tmp_path: Path) -> None:
    path = write_pdparams({"a": arange(2), "LR_Scheduler": {"last_lr": 0.1}}, tmp_path / "w.pdopt")
    with pytest.raises(WeightsError, match=r"LR_Scheduler.*not an optimiser's state"):
        read_pdparams(path)


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"cannot be read.*check the path"):
        read_pdparams(tmp_path / "none.pdparams")
