"""Initializers: how the weights of layers are drawn."""
