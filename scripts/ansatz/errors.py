"""The error that reports a mistake in one line."""


class UserError(ValueError):
    """A user's mistake or a fault of the machine: one line with the name, the value, and what would be right."""
