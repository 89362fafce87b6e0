"""zoovet: known-good image models, fine-tuned on your pictures.

>>> import zoo
>>> run = zoo.finetune("resnet", "my_data/")     # doctest: +SKIP
>>> run.predict("photo.jpg")                     # doctest: +SKIP
"""

import lazy_loader

# What is exported, and from where, stands in __init__.pyi (SPEC 1): `import zoo` loads no torch.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
