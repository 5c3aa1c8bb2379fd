"""StyleGAN2 as NVIDIA's stylegan2-ada-pytorch and stylegan3 pickle it.

Their modules are "persistent": the pickle holds the source code of their classes, and their own loader
executes it. Here only the recorded state is read: nested dicts of _parameters, _buffers and _modules. It also
records the settings of each layer.
"""

from backends.checkpoints.formats import Contents, Keys, State
from backends.checkpoints.formats._stylegan import CONDITIONAL, LEARNING_RATE, StyleGAN2Format
from backends.checkpoints.objects import CheckpointError

CLAMP = 256  # of networks that were trained in half precision; activations of trained weights stay far below


class NVIDIA(StyleGAN2Format):
    title = "NVIDIA .pkl of the PyTorch code (G_ema, G, or a network alone)"

    keys = Keys(
        {
            r"mapping\.fc(\d{1,3})": lambda m: f"mapping.{m[1]}",
            r"synthesis\.b(\d{1,4})\.conv([01])": lambda m: f"convs.{2 * level(m[1]) - 1 + int(m[2])}",
            r"synthesis\.b(\d{1,4})\.torgb": lambda m: f"rgbs.{level(m[1])}",
        },
        {
            ".weight": "weight",
            ".bias": "bias",
            ".noise_strength": "strength",
            ".noise_const": "noise",
            ".affine.weight": "style.weight",
            ".affine.bias": "style.bias",
        },
        {"synthesis.b4.const": "constant", "mapping.w_avg": "mean"},
    )

    def find(self, contents: Contents) -> State | None:
        return contents.first(lambda state: "synthesis.b4.const" in state)

    def mend(self, raw: State, state: State) -> None:
        """Raises CheckpointError for a network that computes something else than ours."""
        if state.settings.get("c_dim") or any(key.startswith("mapping.embed.") for key in state):
            raise CheckpointError(CONDITIONAL)
        for key, value in state.settings.items():
            module, _, name = key.rpartition(".")
            if name == "activation":
                wrong = value != ("linear" if module.endswith(".affine") else "lrelu")
            elif name == "conv_clamp":
                wrong = value is not None and value < CLAMP
            elif name == "bias_gain":  # the relative learning rate
                wrong = abs(value - (LEARNING_RATE if module.startswith("mapping.fc") else 1)) > 1e-6
            else:
                wrong = (name, value) in (
                    ("architecture", "orig"),
                    ("architecture", "resnet"),
                    ("use_noise", False),
                )
            if wrong:
                raise CheckpointError(f"it was trained with {key} = {value!r}, which is not supported")


def level(side: str) -> int:
    """0 for 4 pixels, 1 for 8, ..."""
    return int(side).bit_length() - 3
