"""Images as users have them."""

import pytest

from own_images import picture


@pytest.fixture
def flowers(tmp_path):
    root = tmp_path / "flowers"
    for kind, colour in {"rose": (200, 0, 0), "tulip": (0, 0, 200)}.items():
        for i in range(5):
            picture(root / kind / f"{i}.png", colour=colour)
    return root
