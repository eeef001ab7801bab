"""Networks: the registered families, how they are built and run, and their weights."""
