"""The checks of the data half: one file each, registered in ``diagnose.check.DATA_CHECKS``."""
