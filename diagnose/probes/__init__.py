"""The checks of the algorithm half: one file each, registered in ``diagnose.check.ALGORITHM_CHECKS``."""
