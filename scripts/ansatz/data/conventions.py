"""What both the readers of images and the checks of the configuration need to know; imports nothing."""

VALIDATION_SHARE = 0.2  # of the training images, where a dataset has no validation part
PHOTOGRAPHS = ("china", "flower")  # pictures that come with scikit-learn
