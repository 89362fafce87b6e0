"""``diagnose.watch`` for those who do not write the training loop: one adapter a library, imported by its own name.

>>> from diagnose.callbacks.huggingface import ZooVet        # doctest: +SKIP
>>> Trainer(..., callbacks=[ZooVet()]).train()               # doctest: +SKIP
"""
