"""What computations take of main memory, as far as it is known before they start."""

CPU_MEMORY = 2**30  # bytes for images and what is computed from them: little in a laptop, and more would gain no speed
NETWORK = 6 * 10**9  # bytes for PyTorch with CUDA, and for a network, its gradients and a checkpoint
# Bytes of activations and gradients for a pixel of a batch: 2560 in VGG19, 2460 in ResNet-50, 1840 in VGG11.
PIXEL = 2600
