"""One module a command of cli.py: a docstring (its help), `arguments(parser)` and `run(options) -> exit code`."""
