"""The 40 attributes of CelebA (Liu et al., ICCV 2015), from linear heads on frozen ImageNet features."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float
from safetensors import safe_open
from torch import Tensor

from backends import Images, device, weights
from config import ConfigError
from evaluation.scorers import Scorer
from evaluation.scorers._features import celeba_frame, features

TENSORS = ("mean", "deviation", "weight", "bias")  # of features; of heads


@dataclass
class Attributes(Scorer):
    """Log-odds of each attribute. Two sets of weights exist: one to fit directions to, one to judge them."""

    weights: str = "faces_scorer"  # an entry of backends/weights.yaml or a .safetensors file
    only: str = ""  # the wanted attributes, "smiling, eyeglasses"; empty = all

    @cached_property
    def _heads(self) -> tuple[str, list[str], dict[str, Tensor]]:
        """The feature network's size, the attributes, and the tensors of `training/attributes.py`."""
        file = weights.own(self.weights) or weights.path(self.weights)
        with safe_open(file, "pt", device=str(device())) as content:
            notes = json.loads(content.metadata()["attributes"])
            tensors = {key: content.get_tensor(key).float() for key in TENSORS}
        return notes["network"], notes["names"], tensors

    @property
    def names(self) -> list[str]:
        known = self._heads[1]
        wanted = [name.strip() for name in self.only.split(",") if name.strip()]
        if unknown := [name for name in wanted if name not in known]:
            raise ConfigError(f"only: no attribute is called {unknown[0]!r}; there are: {', '.join(known)}")
        return wanted or known

    def content(self) -> str:
        return weights.fingerprint(self.weights)

    @torch.no_grad()
    def score(self, images: Images, samples: Sequence[str]) -> Float[Tensor, "n scores"]:
        network, known, tensors = self._heads
        seen = features(celeba_frame(images), network)  # type: ignore[arg-type]
        logits = (seen - tensors["mean"]) / tensors["deviation"] @ tensors["weight"].T + tensors["bias"]
        return logits[:, [known.index(name) for name in self.names]]
