"""A published study whose results are known to many digits."""

import numpy as np

from LiverAILib.readerstudy.statistics.merits import MeritTable


def van_dyke() -> MeritTable:
    """Van Dyke et al. 1993 (spin-echo against cine MRI, 5 readers, 45 and 69 patients): empirical AUCs and the mean
    jackknife covariances as published with several programs.
    """
    areas = [
        [0.91964573, 0.85877617, 0.90386473, 0.97310789, 0.82979066],
        [0.94782609, 0.90531401, 0.92173913, 0.99935588, 0.92995169],
    ]
    error, same_reader, same_arm, neither = 0.0008022883, 0.0003466137, 0.0003440748, 0.0002390284
    covariance = np.full((2, 5, 2, 5), neither)
    for i in range(2):
        covariance[i, :, i, :] = same_arm
    for j in range(5):
        covariance[:, j, :, j] = np.where(np.eye(2), error, same_reader)
    return MeritTable(
        name="AUC",
        arms=("spin echo", "cine"),
        readers=tuple("01234"),
        values=np.array(areas),
        covariance=covariance,
        n_positive=45,
        n_negative=69,
        unit="patients",
        method="published components",
    )
