"""Every file of a result: what it holds, and how it is written and read."""
