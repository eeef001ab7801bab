"""PatchCamelyon, whose images are HDF5 files."""

from pathlib import Path

from ansatz.data.archives import gunzip, reading
from ansatz.data.raw import RawDataset
from ansatz.files.dataset import Part
from ansatz.files.pools import OnDisk
from ansatz.registry import dataset


@dataset(
    "https://zenodo.org/records/2546921/files",  # the archives that torchvision downloads from Google Drive
    {
        "camelyonpatch_level_2_split_train_x.h5.gz": "1571f514728f59376b705fc836ff4b63",
        "camelyonpatch_level_2_split_train_y.h5.gz": "35c2d7259d906cfc8143347bb8e05be7",
        "camelyonpatch_level_2_split_valid_x.h5.gz": "d5b63470df7cfa627aeec8b9dc0c066e",
        "camelyonpatch_level_2_split_valid_y.h5.gz": "2b85f58b927af9964a4c15b8f7e8f179",
        "camelyonpatch_level_2_split_test_x.h5.gz": "d8c2d60d490dbd479f8199bdfa0cf6ec",
        "camelyonpatch_level_2_split_test_y.h5.gz": "60a7035772fbdb7f34eb86d4420cf66a",
    },
    images="262,144 + 32,768 + 32,768",
    classes=2,
    pixels="96",
)
def pcam(folder: Path) -> RawDataset:
    """PatchCamelyon: lymph nodes, with or without a tumour; needs 16 GB in ``TMPDIR``.

    A patch has the class ``tumour`` where at least one pixel of its central 32x32 belongs to a tumour.
    """
    return RawDataset(["normal", "tumour"], *(_patches(folder, split) for split in ("train", "valid", "test")))


def _patches(folder: Path, split: str) -> Part:
    import h5py

    archives = [folder / f"camelyonpatch_level_2_split_{split}_{axis}.h5.gz" for axis in "xy"]
    unpacked = [archive.with_suffix("") for archive in archives]
    for archive, file in zip(archives, unpacked, strict=True):
        gunzip(archive, file)
    with reading(archives[1]), h5py.File(unpacked[1]) as file:
        labels = file["y"][:, 0, 0, 0]
    with reading(archives[0]), h5py.File(unpacked[0]) as file:
        stored = file["x"]  # (N, 96, 96, 3)
        images = OnDisk(stored[i : i + 1024].transpose(0, 3, 1, 2) for i in range(0, len(stored), 1024))
    unpacked[0].unlink()  # the largest needs 7 GB
    return Part(images, labels)
