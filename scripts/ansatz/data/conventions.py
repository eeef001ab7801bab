"""What both the readers of images and the checks of the configuration need to know; imports nothing."""

VALIDATION_SHARE = 0.2  # of the training images, where a dataset has no validation part
PHOTOGRAPHS = ("china", "flower")  # pictures that come with scikit-learn
PASSWORD = "holds a name or password, which logs and results would show; put them into ~/.netrc"


def holds_password(address: str) -> bool:
    """Return whether a web address holds a user's name or password, which logs and results would show."""
    return "@" in address.partition("://")[2].partition("/")[0]
