"""Trees of arrays and attributes."""

import h5py
import numpy as np
import pytest
from hypothesis import given
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


@given(trees)
def test_a_tree_reads_back(tmp_path_factory, tree):
    path = tmp_path_factory.mktemp("tree") / "x.h5"
    write_tree(path, tree, attributes=tree.attributes, provenance={"seed": 0})
    actual = read_tree(path, lambda root: root)
    assert actual.attributes == tree.attributes | {"provenance": '{"seed": 0}'}
    assert read_attributes(path) == actual.attributes
    assert_same(actual, tree)
    assert [array.shape for array in hdf5.arrays(actual)] == [array.shape for array in hdf5.arrays(tree)]


def test_lists_of_text_and_plain_mappings_are_members_too(tmp_path):
    write_tree(tmp_path / "x.h5", {"classes": ["rose", "Tülpchen"], "split": {"train": np.arange(3)}}, provenance={})
    tree = read_tree(tmp_path / "x.h5", lambda root: root)
    assert tree["classes"].tolist() == ["rose", "Tülpchen"]
    assert tree["split"]["train"].tolist() == [0, 1, 2]


def test_a_mapped_array_in_chunks_is_read(tmp_path):
    """As another program may have written it."""
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file.create_dataset("a/b", data=np.arange(100), chunks=(10,), compression="gzip")
        file["c"] = np.arange(3)
    tree = read_tree(tmp_path / "x.h5", lambda root: root, mapped=("a/b", "c"))
    assert isinstance(tree["c"], np.memmap)
    assert not isinstance(tree["a"]["b"], np.memmap)
    assert tree["a"]["b"].tolist() == list(range(100))


def test_a_missing_member_is_one_line(tmp_path):
    write_tree(tmp_path / "x.h5", {"a": np.arange(3)}, provenance={})
    with pytest.raises(UserError, match=r"^.*x\.h5: not a readable thing \('b'\); remove it and run again$"):
        read_tree(tmp_path / "x.h5", lambda root: root["b"], kind="thing")
