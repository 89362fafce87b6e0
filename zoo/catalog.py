"""What models exist, and the facts on each. Nothing here builds or loads a model.

A model is named by one of::

    efficientnet_lite0, lenet5           built in: no download
    resnet50.a1_in1k, resnet50           timm's arch.tag, or an architecture with its default weights
    torchvision/alexnet                  torchvision's, with its DEFAULT weights
    resnet, vit, convnext, ...           a short name: see ALIASES
    hf-hub:owner/name[@revision]         a timm model on the Hugging Face hub
    path/to/folder                       config.json and weights, as timm saves them
    resnet18@path/to/file.safetensors    weights in a file (.safetensors, .pth, .pt, .bin) and the architecture they fit
"""

from __future__ import annotations

import fnmatch
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from zoo import hub, index
from zoo.card import Card, Source
from zoo.errors import HubError, ModelError, UnknownModelError
from zoo.models.builtin import BUILT_IN, BuiltIn
from zoo.registry import nearest
from zoo.tensors import SUFFIXES

__all__ = ["ALIASES", "Card", "Source", "at_hand", "card", "cards", "resolve"]

#: Short names, and the model each stands for.
ALIASES = {
    "alexnet": "torchvision/alexnet",
    "convnext": "convnext_tiny.in12k_ft_in1k",
    "efficientnet": "efficientnet_lite0",
    "googlenet": "torchvision/googlenet",
    "lenet": "lenet5",
    "mobilenet": "mobilenetv3_large_100.ra_in1k",
    "resnet": "resnet50.a1_in1k",
    "vgg": "torchvision/vgg16",
    "vit": "vit_base_patch16_224.augreg2_in21k_ft_in1k",
}
#: What a weights file may be called in a repository of timm models, in the order of preference.
WEIGHTS_FILES = ("model.safetensors", "open_clip_model.safetensors", "pytorch_model.bin", "open_clip_pytorch_model.bin")
_HUB = ("hf-hub:", "hf_hub:", "hf:")


def resolve(name: str) -> str:
    """The full name that a short one stands for; any other name as it is."""
    return ALIASES.get(name.lower(), name)


def card(name: str, *, offline: bool = False) -> Card:
    """The card of the model that goes by ``name`` (the module's documentation lists the forms).

    Only ``hf-hub:`` names may use the network, for ``config.json``.

    Raises:
        UnknownModelError: No model goes by that name; names the nearest.
        ModelError: The folder or repository holds no timm model.
        HubError: The repository cannot be read.
    """
    name = resolve(name)
    if name in BUILT_IN:
        return _built_in(BUILT_IN[name])
    if name.startswith(_HUB):
        return _hub(f"hf-hub:{name.partition(':')[2]}", offline=offline)
    if ("@" in name and not Path(name).is_dir()) or name.endswith(SUFFIXES):
        return _file(name)
    known = _listed(name.removeprefix("timm/"))
    if known is not None:
        return replace(known, cached=_is_cached(known))
    if Path(name).is_dir():
        return _folder(Path(name))
    raise _unknown(name)


def cards(pattern: str = "*") -> list[Card]:
    """The cards of all built-in, timm and torchvision models whose name matches a glob, sorted by name.

    A pattern without wildcards also finds a model by its alias, or by its architecture alone.
    """
    repositories = hub.cached_repositories()
    known = [_built_in(entry) for entry in BUILT_IN.values()]
    known += [replace(card, cached=_is_cached(card, repositories)) for card in _all_listed().values()]
    patterns = {pattern, f"{pattern}.*", resolve(pattern)} if not set(pattern) & set("*?[") else {pattern}
    found = (card for card in known if any(fnmatch.fnmatchcase(card.name, glob) for glob in patterns))
    return sorted(found, key=lambda card: card.name)


def at_hand() -> str:
    """A sentence that names the models that need no network, and the command to use one."""
    bundled = [name for name, entry in BUILT_IN.items() if entry.source == "bundled" and entry.available()]
    cached = [card.name for card in cards() if card.cached and card.source not in {"bundled", "zoo"}]
    some = f"{', '.join(cached[:8])}{', ...' if len(cached) > 8 else ''}" if cached else "none"
    return (
        f"These need no network: {', '.join(bundled)} (bundled); {some} (cached). "
        f"Run: zoo finetune {bundled[0] if bundled else 'MODEL'} DATA"
    )


def _unknown(name: str) -> UnknownModelError:
    names = {*index.cards(), *BUILT_IN, *ALIASES, *(known.partition(".")[0] for known in index.cards())}
    alike = nearest(name, sorted(names))
    if alike.startswith("Known"):  # nothing is alike, and the first of two thousand names would help nobody
        alike = f"Short names: {', '.join(ALIASES)}."
    return UnknownModelError(f"There is no model {name!r}.", remedy=f"{alike} All: zoo list")


def _listed(name: str) -> Card | None:
    """A model of timm or torchvision by its full name, or by a timm architecture's name."""
    known = index.cards()
    if name in known:
        return known[name]
    default = next((card for card in known.values() if card.name.startswith(f"{name}.")), None)
    library = "torchvision" if name.startswith("torchvision/") else "timm"
    if default is not None or index.complete(library):
        return default
    return _all_listed().get(name)


def _all_listed() -> dict[str, Card]:
    """All models of timm and torchvision: from the file where it is complete, else from the libraries too."""
    known = index.cards()
    from zoo import upstream  # light itself; its functions import the libraries

    for library, names, make in (
        ("timm", upstream.timm_names, upstream.timm_card),
        ("torchvision", upstream.torchvision_names, upstream.torchvision_card),
    ):
        if not index.complete(library):
            source = {name: known.get(name) or make(name) for name in names()}
            known = {name: card for name, card in known.items() if card.source != library} | source
    return known


def _is_cached(card: Card, repositories: set[str] | None = None) -> bool:
    if not card.origin.startswith("hf-hub:"):
        return hub.cached_url(card.origin).is_file()
    if repositories is not None and hub.split(card.origin)[0] not in repositories:
        return False
    return any(hub.cached(card.origin, file) for file in WEIGHTS_FILES)


def _built_in(entry: BuiltIn) -> Card:
    return Card(
        name=entry.name,
        source=entry.source,
        architecture=entry.name,
        preprocess=entry.preprocess,
        num_classes=entry.num_classes,
        parameters=entry.parameters,
        license=entry.license,
        accuracy=entry.accuracy,
        cached=entry.available(),
        origin=entry.origin(),
    )


def _hub(name: str, *, offline: bool) -> Card:
    try:
        path = hub.fetch(name, "config.json", offline=offline)
    except HubError as error:
        raise HubError(error.what, remedy=error.remedy or at_hand()) from error
    if path is None:
        raise ModelError(f"{name!r} has no config.json: it is no timm model.", remedy="See: zoo list")
    found = _from_config(name, path)
    return replace(found, source="hub", origin=name, cached=_is_cached(replace(found, origin=name)))


def _folder(folder: Path) -> Card:
    path = folder / "config.json"
    if not path.is_file():
        raise ModelError(
            f"The folder {str(folder)!r} has no config.json.",
            remedy=f"Name the architecture and the file: resnet18@{folder}/model.safetensors",
        )
    return replace(_from_config(str(folder), path), source="local", origin=str(folder.resolve()), cached=True)


def _from_config(name: str, path: Path) -> Card:
    """The card that timm's ``config.json`` describes."""
    from zoo.upstream import preprocess_of

    try:
        config = json.loads(path.read_text("utf-8"))
        # Older files hold the pretrained_cfg itself.
        pretrained: dict[str, Any] = config.get("pretrained_cfg", config)
        architecture = str(config["architecture"])
        preprocess = preprocess_of(pretrained)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelError(
            f"{str(path)!r} does not describe a timm model ({type(error).__name__}: {error}).",
            remedy="Models of other libraries cannot be read. See: zoo list",
        ) from error
    num_classes = config.get("num_classes", pretrained.get("num_classes"))
    arguments = {**config.get("model_args", {}), "num_classes": num_classes, "in_chans": preprocess.channels}
    if pretrained.get("fixed_input_size"):
        arguments.setdefault("img_size", list(preprocess.size))
    return Card(
        name=name,
        source="local",
        architecture=architecture,
        arguments=tuple((key, value) for key, value in arguments.items() if value is not None),
        preprocess=preprocess,
        num_classes=num_classes,
        license=pretrained.get("license"),
    )


def _file(name: str) -> Card:
    """``architecture@path``."""
    architecture, at, file = name.partition("@")
    if not at:
        raise ModelError(
            f"A weights file does not say which model it fits: {name!r}.",
            remedy=f"Name the architecture before an @: resnet18@{name}",
        )
    base = _architecture(architecture)
    if not Path(file).is_file():
        raise ModelError(f"There is no file {file!r}.", remedy="The form is architecture@path/to/file.safetensors")
    if not file.endswith(SUFFIXES):
        raise ModelError(f"{file!r} is no weights file.", remedy=f"It must end in {', '.join(SUFFIXES)}.")
    return Card(
        name=name,
        source="local",
        architecture=base.architecture,
        arguments=base.arguments,
        preprocess=base.preprocess,
        cached=True,
        origin=str(Path(file).resolve()),
    )


def _architecture(name: str) -> Card:
    """The card of a model, or of an architecture of timm for which nobody has published weights."""
    try:
        return card(name)
    except UnknownModelError:
        from timm.models import get_pretrained_cfg, is_model  # only for the few that are not listed

        if not is_model(name):
            raise
        cfg: Any = get_pretrained_cfg(name)
        from zoo.upstream import preprocess_of

        preprocess = preprocess_of(cfg.to_dict() if cfg is not None else {})
        return Card(name=name, source="local", architecture=name, preprocess=preprocess)
