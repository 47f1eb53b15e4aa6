"""The terms of the losses that a person follows: unweighted, each the mean over domains and discriminators."""

from collections.abc import Mapping

TERMS = {  # prefix of the metrics: what it means, beside the number
    'D_ad': 'discriminators on images; lsgan: 0.5 is chance',
    'G_ad': 'generators against them; lsgan: 0.25 is chance',
    'G_l1': 'mean absolute difference from the teacher, images in [-1, 1]',
    'G_feature': "the same of features of the teacher's encoder",
    'G_recon': 'cycle: mean absolute difference, images in [-1, 1]',
    'G_id': 'identity: mean absolute difference',
    'G_cam': 'CAM: source against target; 1.39 is chance',
}


def mean_terms(row: Mapping[str, float]) -> dict[str, float]:
    """The mean of a row's metrics of each of TERMS, D_ad of D_ad_GA to D_ad_LB; terms that are not there are left out."""
    means = {}
    for term in TERMS:
        values = [float(value) for name, value in row.items() if name.startswith(f'{term}_')]
        if values:
            means[term] = sum(values) / len(values)
    return means
