"""StyleGAN1 as genforce's projects (SeFa, GenForce), InterFaceGAN and IDInvert store it.

InterFaceGAN has an inner `linear` in its names and IDInvert `fc`. IDInvert's mapping has no single w: its
last layer makes one for every layer of the synthesis (14 x 512 numbers at 256 pixels).
"""

from backends.checkpoints.formats import Contents, State, renamed
from backends.checkpoints.formats._genforce import MAPPING, check_conditional
from backends.checkpoints.formats._stylegan1 import StyleGAN1Format
from backends.checkpoints.objects import CheckpointError
from backends.networks.mapping import series

FUSED = 128  # from this side on, upsampling is fused into a transposed convolution in every public network
MODULES = MAPPING | {
    r"synthesis\.layer(\d{1,3})": lambda m: f"convs.{m[1]}",
    r"synthesis\.output(\d{1,3})": lambda m: f"outputs.{m[1]}",
}
TAILS = {f"{inner}.weight": "weight" for inner in ("", ".linear", ".fc", ".conv")}
TAILS |= {f"{inner}.bias": "bias" for inner in ("", ".wscale", ".epilogue")}
for epilogue, style in (("", ".style"), (".epilogue", ".epilogue.style_mod.dense")):
    TAILS |= {f"{epilogue}.apply_noise.weight": "scale", f"{epilogue}.apply_noise.noise": "noise"}
    TAILS |= {f"{style}{inner}.weight": "style.weight" for inner in ("", ".linear", ".fc")}
    TAILS |= {f"{style}{inner}.bias": "style.bias" for inner in ("", ".wscale")}
EXTRA = {
    "synthesis.layer0.const": "constant",
    "synthesis.layer0.first_layer": "constant",
    "truncation.w_avg": "mean",
    "synthesis.lod": "lod",
}


class GenforceStyleGAN1(StyleGAN1Format):
    title = (
        "genforce .pth (generator_smooth, generator or flat), InterFaceGAN .pth, IDInvert's generator .pth"
    )

    def find(self, contents: Contents) -> State | None:
        return contents.first(
            lambda s: (
                any(key in s for key in EXTRA if ".layer0." in key)
                and any(
                    f"synthesis.layer0.{style}.bias" in s
                    for style in ("style", "epilogue.style_mod.dense.wscale")
                )
            )
        )

    def raw(self, state: State) -> State:
        check_conditional(state)
        raw = renamed(state, MODULES, TAILS)
        raw.update({ours: state[key] for key, ours in EXTRA.items() if key in state})
        raw.pop("convs.0.weight", None)
        convs = len(series(raw, "convs.{}.style.weight"))
        for j in range(2, convs, 2):
            flat = f"synthesis.layer{j}.epilogue.bias" in state
            if flat and f"synthesis.layer{j}.weight" in state:
                # TensorFlow's order (height, width, inputs, outputs), and applied transposed, which turns it
                raw[f"convs.{j}.weight"] = state[f"synthesis.layer{j}.weight"].permute(3, 2, 0, 1).flip(2, 3)
            elif not flat and 4 << j // 2 >= FUSED:
                raw[f"convs.{j}.weight"] = raw[f"convs.{j}.weight"].flip(2, 3)
        for key in ("weight", "bias"):
            if f"outputs.{convs // 2 - 1}.{key}" in raw:
                raw[f"rgb.{key}"] = raw[f"outputs.{convs // 2 - 1}.{key}"]
        last = raw[series(raw, "mapping.{}.weight")[-1]].shape[0]
        if last > raw["convs.0.style.weight"].shape[1] and not any(".fc." in key for key in state):
            raise CheckpointError(
                "its mapping makes one w per layer, which is only known of IDInvert's networks, whose "
                "pictures go through a tanh; nothing in this file says whether these do"
            )
        return raw
