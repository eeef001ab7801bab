"""Trees of arrays and attributes."""

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from ansatz.errors import UserError
from ansatz.files import hdf5
from ansatz.files.hdf5 import Group, read_attributes, read_tree, write_tree

names = st.text("abc.01_", min_size=1, max_size=4).filter(lambda name: name.strip("."))  # "." is the group itself
leaves = arrays(st.sampled_from([np.uint8, np.int64, np.float32]), array_shapes(max_dims=3, max_side=3))
attributes = st.dictionaries(
    names.filter(lambda name: name != "members"), st.one_of(st.integers(0, 9), st.floats(0, 1), st.text("ab"))
)


def groups(members):
    return st.builds(lambda members, attributes: Group(members, **attributes), members, attributes)


trees = groups(
    st.dictionaries(names, st.recursive(leaves, lambda inner: groups(st.dictionaries(names, inner)), max_leaves=8))
)


def assert_same(actual, expected):
    assert list(actual) == list(expected), "members keep their order"
    for name, member in expected.items():
        if isinstance(member, Group):
            assert actual[name].attributes == member.attributes
            assert_same(actual[name], member)
        else:
            assert actual[name].dtype == member.dtype
            np.testing.assert_array_equal(actual[name], member)


@settings(max_examples=25)  # as files are synchronised with the disk
@given(trees)
def test_a_tree_reads_back(tmp_path_factory, tree):
    path = tmp_path_factory.mktemp("tree") / "x.h5"
    write_tree(path, tree, attributes=tree.attributes, provenance={"seed": 0})
    actual = read_tree(path, lambda root: root)
    assert read_attributes(path) == actual.attributes
    assert len(actual.attributes.pop("fingerprint")) == 64
    assert actual.attributes == tree.attributes | {"provenance": '{"seed": 0}'}
    assert_same(actual, tree)


def test_lists_of_text_and_plain_mappings_are_members_too(tmp_path):
    write_tree(tmp_path / "x.h5", {"classes": ["rose", "Tülpchen"], "split": {"train": np.arange(3)}}, provenance={})
    tree = read_tree(tmp_path / "x.h5", lambda root: root)
    assert tree["classes"].tolist() == ["rose", "Tülpchen"]
    assert tree["split"]["train"].tolist() == [0, 1, 2]


def test_a_mapped_array_in_chunks_is_read(tmp_path):
    """As another program may have rewritten it."""
    path = tmp_path / "x.h5"
    write_tree(path, {"a": {"b": np.arange(100)}, "c": np.arange(3)}, provenance={})
    with h5py.File(path, "r+") as file:
        del file["a/b"]
        file.create_dataset("a/b", data=np.arange(100), chunks=(10,), compression="gzip")
    tree = read_tree(path, lambda root: root, mapped=("a/b", "c"))
    assert isinstance(tree["c"], np.memmap)
    assert not isinstance(tree["a"]["b"], np.memmap)
    assert tree["a"]["b"].tolist() == list(range(100))


@pytest.mark.parametrize("piece", [1, 8, 100, 10**6])
def test_a_fingerprint_is_of_names_types_shapes_and_values_whatever_the_order(tmp_path, monkeypatch, piece):
    a, path = np.arange(6), tmp_path / "x.h5"

    def fingerprint(**tree):
        write_tree(path, tree, provenance={})
        return read_attributes(path)["fingerprint"]

    same = fingerprint(a=a, b="x")
    monkeypatch.setattr(hdf5, "PIECE", piece)
    assert fingerprint(b="x", a=a) == same
    others = [{"c": a, "b": "x"}, {"a": a.reshape(2, 3), "b": "x"}, {"a": a.astype(np.uint64), "b": "x"}]
    others += [{"a": a[::-1], "b": "x"}, {"a": a, "b": "y"}, {"a": a, "b": ["x"]}, {"g": {"a": a, "b": "x"}}]
    assert len({same, *(fingerprint(**other) for other in others)}) == 8


def test_a_missing_member_is_one_line(tmp_path):
    write_tree(tmp_path / "x.h5", {"a": np.arange(3)}, provenance={})
    with pytest.raises(
        UserError, match=r"^.*x\.h5: not a readable thing \('b'\); if it is a result, remove it and run again$"
    ):
        read_tree(tmp_path / "x.h5", lambda root: root["b"], kind="thing")
