"""Files are written whole or not at all."""

import json
import sqlite3

import numpy as np
import pytest

from ansatz.errors import UserError
from ansatz.files.atomic import atomic, read_json, write_json
from ansatz.files.hashing import fingerprint


def test_a_failure_leaves_the_file_as_it_was(tmp_path):
    (tmp_path / "x").write_text("before")
    with pytest.raises(KeyboardInterrupt), atomic(tmp_path / "x") as temporary:  # noqa: PT012
        temporary.write_text("half")
        raise KeyboardInterrupt
    assert (tmp_path / "x").read_text() == "before"
    assert len(list(tmp_path.iterdir())) == 1


def test_a_full_disk_is_told_from_what_libraries_say(tmp_path):
    def fail():
        with atomic(tmp_path / "x") as temporary:
            temporary.mkdir()
            raise sqlite3.OperationalError("database or disk is full")

    with pytest.raises(UserError, match=r"x: no space left on the device; nothing was written$"):
        fail()
    assert not list(tmp_path.iterdir())


def test_json_reads_back(tmp_path):
    content = {"dataset": "Zeichen ✓", "seed": 3, "accuracy": 1 / 3, "best": None}
    write_json(tmp_path / "x.json", content)
    assert read_json(tmp_path / "x.json", ["seed"]) == json.loads((tmp_path / "x.json").read_text()) == content


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", r"cannot be read \(JSONDecodeError\)"),
        ('{"a": 1', r"cannot be read \(JSONDecodeError\)"),
        ("3", r"cannot be read \(TypeError\)"),
        ("{}", "is incomplete"),
        ('{"a": 1}', "is incomplete"),
    ],
)
def test_broken_json_is_named(tmp_path, text, expected):
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(UserError, match=rf"x\.json: {expected}; remove it and run again$"):
        read_json(tmp_path / "x.json", ["b"])


def test_fingerprints_distinguish_types_shapes_and_values():
    a = np.arange(6)
    others = [a.reshape(2, 3), a.astype(np.int32), a[::-1], a[:5]]
    assert len({fingerprint(x) for x in [a, *others]}) == 5
    assert fingerprint(a) == fingerprint(a.copy())
