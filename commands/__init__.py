"""One module a command of cli.py: a docstring (its help), `arguments(parser)`, `run(options) -> exit code`."""
