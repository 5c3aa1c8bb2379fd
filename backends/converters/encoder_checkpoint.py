"""Public encoder checkpoints of any format: one file, which may hold a generator beside the encoder."""

from backends.converters.checkpoint import Checkpoint
from backends.networks import encoders


class EncoderCheckpoint(Checkpoint):
    """The encoder that the file holds, with its average latent."""

    plugin = encoders.PLUGIN
