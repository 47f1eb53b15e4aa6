"""Where the heatmap points, for images with a mask of what has to change."""

import numpy as np
from PIL import Image


def heatmap_metrics(heatmaps: np.ndarray, masks: np.ndarray) -> dict[str, np.ndarray]:
    """Heatmaps [n, h/4, w/4], masks bool [n, h, w] -> values [n] by metric.

    pointing_accuracy: 1 where the heatmap's maximum lies in the mask, the pointing game of Zhang et al. 2018.
    heatmap_inside: share of the heat, above the heatmap's minimum, that lies in the mask. heatmap_iou: intersection over
    union of the mask and as many of the hottest pixels. heatmap_chance: the mask's share of the image, which is what the
    first two give without attention.
    """
    rows = [metrics_of_one(heatmap, mask) for heatmap, mask in zip(heatmaps, masks, strict=True)]
    return {name: np.array([row[name] for row in rows]) for name in rows[0]}


def metrics_of_one(heatmap: np.ndarray, mask: np.ndarray) -> dict[str, float]:
    """The metrics of one heatmap [h/4, w/4] and mask bool [h, w]."""
    size = mask.shape[::-1]
    heat = np.asarray(Image.fromarray(heatmap.astype(np.float32)).resize(size, Image.Resampling.BILINEAR), np.float64)
    heat = heat - heat.min()
    area = int(mask.sum())
    chance = area / mask.size
    if not heat.any():  # a flat heatmap points nowhere: the expected values of a random one
        return {
            'pointing_accuracy': chance,
            'heatmap_inside': chance,
            'heatmap_iou': chance / (2 - chance),
            'heatmap_chance': chance,
        }
    hottest = np.zeros(mask.size, bool)
    hottest[np.argsort(-heat, axis=None, kind='stable')[:area]] = True
    intersection = np.count_nonzero(hottest.reshape(mask.shape) & mask)
    return {
        'pointing_accuracy': float(mask.flat[heat.argmax()]),
        'heatmap_inside': float(heat[mask].sum() / heat.sum()),
        'heatmap_iou': intersection / max(2 * area - intersection, 1),
        'heatmap_chance': chance,
    }
