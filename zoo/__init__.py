"""zoovet: known-good image models, fine-tuned on your pictures.

>>> import zoo
>>> run = zoo.finetune("resnet", "my_data/")     # doctest: +SKIP
>>> run.predict("photo.jpg")                     # doctest: +SKIP
"""
