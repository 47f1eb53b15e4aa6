"""Evaluation: Evaluator(config, datasets, networks, mesh) scores generators; two folders are ugatit_jax.evaluate's.

The numbers are made in statistics.py and protocols.py (KID, FID, precision, recall of Inception features),
classifier.py (domain accuracy), images.py (L1, PSNR) and heatmap.py (where the heatmap falls).
"""
