"""The backend of one NVIDIA GPU: Triton kernels, and a CUDA graph per batch size."""
