"""Initializers: how the weights of convolutions are drawn."""
