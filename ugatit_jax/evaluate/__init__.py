"""Evaluation of a run's generators (run.py) and of two folders of images (folders.py).

Metrics: kid_fid.py and protocols.py (KID, FID, precision and recall of Inception features), classifier.py (domain accuracy),
image_errors.py (L1, PSNR), heatmap.py (where the heatmap points). metrics.py names and formats them, results.py writes
metrics.json and report.html, ablation.py tabulates many runs.
"""
