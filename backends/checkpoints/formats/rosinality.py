"""StyleGAN2 as rosinality/stylegan2-pytorch stores it; e4e, pSp and ReStyle embed the same generator."""

import torch

from backends.checkpoints.formats import Contents, State, renamed
from backends.checkpoints.formats._stylegan import StyleGAN2Format, check_filters
from backends.networks.mapping import series

MODULES = {
    # style.0 is the normalisation of z and has no weights
    r"style\.(\d{1,3})": lambda m: f"mapping.{int(m[1]) - 1}",
    r"conv1": lambda m: "convs.0",
    r"convs\.(\d{1,3})": lambda m: f"convs.{int(m[1]) + 1}",
    r"to_rgb1": lambda m: "rgbs.0",
    r"to_rgbs\.(\d{1,3})": lambda m: f"rgbs.{int(m[1]) + 1}",
    r"noises\.noise_(\d{1,3})": lambda m: f"convs.{m[1]}",
}
TAILS = {
    ".weight": "weight",
    ".bias": "bias",
    ".conv.weight": "weight",
    ".activate.bias": "bias",
    "": "noise",
}
TAILS |= {".conv.modulation.weight": "style.weight", ".conv.modulation.bias": "style.bias"}
TAILS |= {".noise.weight": "strength"}


class Rosinality(StyleGAN2Format):
    title = "rosinality .pt (g_ema), also inside e4e, pSp and ReStyle (decoder.*)"

    def find(self, contents: Contents) -> State | None:
        state = contents.first(fits, "decoder.")
        average = contents.tensor("latent_avg")
        return (
            state
            if state is None or average is None
            else State(state | {"latent_avg": average}, state.settings)
        )

    def raw(self, state: State) -> State:
        raw = renamed(state, MODULES, TAILS)
        raw["constant"] = state["input.input"]
        for key in raw:
            if raw[key].dim() == 5:
                raw[key] = raw[key][0]  # a leading axis for the batch
        if "latent_avg" in state:
            raw["mean"] = state["latent_avg"]  # e4e repeats it for every layer
        check_filters(state, ".kernel")
        if not any(key.startswith("noises.") for key in state):
            _draw_noise(raw)
        return raw


def fits(state: State) -> bool:
    """Whether it is such a generator."""
    return "input.input" in state and "conv1.conv.modulation.weight" in state


def _draw_noise(raw: State) -> None:
    """Fixed noise for older files, whose networks draw new noise for every picture."""
    for j, _ in enumerate(series(raw, "convs.{}.weight")[:19]):
        side = 4 << (j + 1) // 2
        raw[f"convs.{j}.noise"] = torch.randn(side, side, generator=torch.Generator().manual_seed(j))
