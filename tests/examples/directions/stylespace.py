"""A channel of every layer."""


def settings(folder, generator):
    return {"channels": {f"channel {i}": f"{i}:{i}" for i in range(generator.layers)}}
