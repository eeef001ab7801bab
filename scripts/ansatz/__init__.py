"""Feature matrices of convolutional networks: measure them, initialize with them, compare initializers."""

__version__ = "0.1.0"
