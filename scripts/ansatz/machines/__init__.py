"""Machines that learn tasks: kernels of patches, ConvRFM and Deep ConvRFM, and the network they are compared with."""
