"""Training on your own photographs: `python cli.py train configs/training/cats64.yaml`."""

from pathlib import Path


def run(config: str | Path, overrides: list[str] | None = None) -> Path:
    """Train the generator that a YAML file describes; see `training.loop.run`."""
    from training import loop  # needs `accelerate`, which the other modules of this folder do not

    return loop.run(config, overrides)
