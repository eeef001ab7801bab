"""Images as users have them."""

from PIL import Image


def picture(path, size=(6, 4), colour=(255, 0, 0), mode="RGB"):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).convert(mode).save(path)
