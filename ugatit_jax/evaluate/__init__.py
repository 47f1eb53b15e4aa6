"""Evaluation of a run's generators (run.py) and of two folders of images (folders.py and its parts, folder_*.py).

Metrics: kid_fid.py and protocols.py (KID, FID, precision and recall of Inception features, KID of EfficientNet-Lite0's),
classifier.py (domain accuracy), image_errors.py (L1, PSNR, SSIM), heatmap.py (where the heatmap points), truth.py (against
the true images, where pairs.py finds them; effnet.py has the perceptual distance). metrics.py names and formats them,
results.py writes metrics.json and report.html, ablation.py tabulates many runs.
"""
