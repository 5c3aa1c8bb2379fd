"""Which of some ImageNet classes a picture shows: kinds of tower, breeds of cat, without any training."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor

from backends import Images
from backends.losses import resize
from backends.networks import efficientnet_lite
from config import ConfigError
from evaluation.scorers import Scorer


@dataclass
class ImageNet(Scorer):
    """Log-odds of each class against the others of the list, from EfficientNet-Lite's own classifier."""

    classes: dict[str, int] = field(default_factory=dict)  # name -> number of the class, 0...999
    network: efficientnet_lite.Size = "lite0"  # or lite2, say to judge what was fitted to lite0
    side: int = 160  # pixels that the network sees; it was trained at 224 (lite0) or 260

    def __post_init__(self) -> None:
        if len(self.classes) < 2 or not all(0 <= number < 1000 for number in self.classes.values()):
            raise ConfigError("classes: name at least two of ImageNet's classes, as in `tabby: 281`")

    @property
    def names(self) -> list[str]:
        return list(self.classes)

    @torch.no_grad()
    def score(self, images: Images, samples: Sequence[str]) -> Float[Tensor, "n scores"]:
        network = efficientnet_lite.load(self.network)
        logits = network(resize(images, self.side).contiguous(memory_format=torch.channels_last))
        logits = logits[:, list(self.classes.values())]
        own = torch.eye(logits.shape[1], dtype=torch.bool, device=logits.device)
        others = logits[:, None].masked_fill(own, -torch.inf).logsumexp(2)
        return logits - others
