"""Which files are a user's images, and whether they have changed."""

import os
import shutil

import pytest

from ansatz.data import listing
from ansatz.data.listing import identity, images_of
from own_images import picture


def test_links_to_folders_are_followed_in_order(flowers, tmp_path):
    store = tmp_path / "store"
    flowers.rename(store)
    flowers.mkdir()
    (store / "rose" / "more").mkdir()
    (store / "rose" / "3.png").rename(store / "rose" / "more" / "3.png")
    for kind in ("rose", "tulip"):
        (flowers / kind).symlink_to(store / kind)
    (flowers / "rose" / "z.png").symlink_to(store / "tulip" / "0.png")
    listed = images_of(flowers)["train"]
    expected = [*(flowers / "rose" / name for name in ("0.png", "1.png", "2.png", "4.png", "z.png", "more/3.png"))]
    assert listed == {"rose": expected, "tulip": [flowers / "tulip" / f"{i}.png" for i in range(5)]}


# ------------------------------------------------------------------------------------------------- have they changed?
def swap(root):
    one, other = root / "rose" / "0.png", root / "tulip" / "0.png"
    one.rename(root / "0.png")
    other.rename(one)
    (root / "0.png").rename(other)


def repaint(root):
    """The same size, and the same date."""
    path = root / "tulip" / "3.png"
    content, status = path.read_bytes(), path.stat()
    picture(path, colour=(0, 0, 201))
    assert path.stat().st_size == status.st_size
    assert path.read_bytes() != content
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def add(root):
    picture(root / "rose" / "5.png")


def remove(root):
    (root / "rose" / "4.png").unlink()


def rename_class(root):
    (root / "rose").rename(root / "dahlia")


def touch(root):
    for path in (root / "rose" / "4.png", root / "rose", root):
        os.utime(path, (1, 1))


def leave_something(root):
    (root / "rose" / ".DS_Store").write_text("system")
    (root / "rose" / "notes.txt").write_text("mine")


@pytest.mark.parametrize("linked", [False, True])
@pytest.mark.parametrize(
    ("change", "seen"),
    [
        (swap, True),
        (repaint, True),
        (add, True),
        (remove, True),
        (rename_class, True),
        (touch, False),
        (leave_something, False),
    ],
)
def test_a_change_of_what_is_read_is_seen_and_of_nothing_else(flowers, tmp_path, linked, change, seen):
    source = flowers
    if linked:
        source = tmp_path / "linked"
        source.mkdir()
        (source / "train").symlink_to(flowers)
    before = identity(source)
    change(flowers)
    assert (identity(source) != before) == seen


def test_many_images_are_compared_by_size_and_date(flowers, monkeypatch):
    monkeypatch.setattr(listing, "COMPARED", 100)
    monkeypatch.setattr(listing, "checksum", lambda _: pytest.fail("read"))
    before = identity(flowers)
    assert identity(flowers) == before
    os.utime(flowers / "rose" / "4.png", (1, 1))
    assert identity(flowers) != before


def test_a_zip_is_compared_by_its_content(flowers, tmp_path):
    shutil.make_archive(str(tmp_path / "flowers"), "zip", flowers)
    before = identity(tmp_path / "flowers.zip")
    os.utime(tmp_path / "flowers.zip", (1, 1))
    assert identity(tmp_path / "flowers.zip") == before
    shutil.make_archive(str(tmp_path / "flowers"), "zip", flowers / "rose")
    assert identity(tmp_path / "flowers.zip") != before
