"""Statistics, tables and figures of results; none of it needs PyTorch."""
