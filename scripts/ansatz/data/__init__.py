"""Datasets: from published archives or a user's own images to batches on a device."""
