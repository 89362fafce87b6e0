"""The fault benchmark: data sets, faults planted in them or in training code, healthy twins, and how often the verdict is right."""
