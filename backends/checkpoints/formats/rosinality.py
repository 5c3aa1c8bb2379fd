"""StyleGAN2 as rosinality/stylegan2-pytorch stores it; e4e, pSp and ReStyle embed the same generator."""

import torch

from backends.checkpoints.formats import Contents, Keys, State
from backends.checkpoints.formats._stylegan import StyleGAN2Format
from backends.networks.mapping import series


class Rosinality(StyleGAN2Format):
    title = "rosinality .pt (g_ema), also inside e4e, pSp and ReStyle (decoder.*)"
    keys = Keys(
        {
            # style.0 is the normalisation of z and has no weights
            r"style\.(\d{1,3})": lambda m: f"mapping.{int(m[1]) - 1}",
            r"conv1": lambda m: "convs.0",
            r"convs\.(\d{1,3})": lambda m: f"convs.{int(m[1]) + 1}",
            r"to_rgb1": lambda m: "rgbs.0",
            r"to_rgbs\.(\d{1,3})": lambda m: f"rgbs.{int(m[1]) + 1}",
            r"noises\.noise_(\d{1,3})": lambda m: f"convs.{m[1]}",
        },
        {
            ".weight": "weight",
            ".bias": "bias",
            ".conv.weight": "weight",
            ".activate.bias": "bias",
            "": "noise",
            ".conv.modulation.weight": "style.weight",
            ".conv.modulation.bias": "style.bias",
            ".noise.weight": "strength",
        },
        {"input.input": "constant", "latent_avg": "mean"},  # e4e repeats the mean for every layer
    )

    def find(self, contents: Contents) -> State | None:
        state = contents.first(fits, "decoder.")
        average = contents.tensor("latent_avg")
        if state is None or average is None:
            return state
        return State(state | {"latent_avg": average}, state.settings)

    def mend(self, raw: State, state: State) -> None:
        for key in raw:
            if raw[key].dim() == 5:
                raw[key] = raw[key][0]  # a leading axis for the batch
        if any(key.startswith("noises.") for key in state):
            return
        # Networks of older files draw new noise for every picture; here it is fixed.
        for j, _ in enumerate(series(raw, "convs.{}.weight")[:19]):
            side = 4 << (j + 1) // 2
            raw[f"convs.{j}.noise"] = torch.randn(side, side, generator=torch.Generator().manual_seed(j))


def fits(state: State) -> bool:
    """Whether it is such a generator."""
    return "input.input" in state and "conv1.conv.modulation.weight" in state
