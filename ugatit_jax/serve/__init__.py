"""A web page, served from this machine, on which people translate images with a trained generator."""
