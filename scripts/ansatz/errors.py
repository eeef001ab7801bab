"""What a user can get wrong, and how it is told."""


class UserError(ValueError):
    """A mistake of the user's or the machine's: one line that names the thing, the value, and what would be right."""
