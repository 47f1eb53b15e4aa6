"""U-GAT-IT in JAX: unpaired image-to-image translation with CAM attention and AdaLIN."""
__version__ = '0.1.0'
