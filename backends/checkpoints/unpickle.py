"""A pickle reader that cannot execute anything: an interpreter of the opcodes that builds plain data only.

Python's own unpickler runs whatever callables a file names. This one never imports: names become the inert
stand-ins of `objects.py`, which know tensors, arrays and ordered dicts and otherwise just record what the
file said of an object. `torch.load(weights_only=True)` is as safe, but stops at the first name that it does
not know (an `argparse.Namespace` of training options), and reads neither NVIDIA's nor TensorFlow's pickles.
"""

from collections.abc import Callable
from typing import Any

from backends.checkpoints.machine import DIGITS, MARK, Machine, pairs
from backends.checkpoints.objects import CheckpointError, inert

OPCODES = 500_000  # a StyleGAN2 checkpoint has about 10,000, with its optimisers 50,000
STOP = ord(".")


def load(
    data: memoryview,
    position: int = 0,
    persistent: Callable[[Any], Any] | None = None,
    calls: bool = True,
) -> tuple[Any, int]:
    """The object of the pickle at `position`, and the position behind it.

    `persistent(identifier)` answers PyTorch's references to storages; without `calls` the pickle may hold
    nothing but plain data and such references. Raises CheckpointError saying what is wrong with the file.
    """
    machine = Machine(data, position, persistent, calls)
    for _ in range(OPCODES):
        code = machine.take(1)[0]
        if code == STOP:
            return machine.pop(), machine.position
        step = STEPS.get(code)
        if step is None:
            raise CheckpointError(f"byte {code:#04x} at {machine.position - 1:,} is no pickle opcode")
        try:
            step(machine)
        except UnicodeDecodeError as error:
            raise CheckpointError("a text in the pickle is not UTF-8") from error
    raise CheckpointError(f"the pickle has more than {OPCODES:,} operations; no checkpoint needs that many")


def _tuple(count: int) -> Callable[[Machine], None]:
    def step(m: Machine) -> None:
        items = [m.pop() for _ in range(count)][::-1]
        m.push(m.hold(tuple(items), items))

    return step


def _container(make: Callable[[list[Any]], Any]) -> Callable[[Machine], None]:
    def step(m: Machine) -> None:
        items = m.marked()
        m.push(m.hold(make(items), items))

    return step


def _reduce(m: Machine) -> None:
    arguments, kind = m.pop(), m.pop()
    m.call(kind, arguments)


def _instance(m: Machine) -> None:
    module, name = m.line(), m.line()
    m.call(inert(module, name), tuple(m.marked()))


def _object(m: Machine) -> None:
    kind, *arguments = m.marked() or [None]
    m.call(kind, tuple(arguments))


def _newobj_ex(m: Machine) -> None:
    keywords, arguments, kind = m.pop(), m.pop(), m.pop()
    m.call(kind, (*arguments, keywords) if isinstance(arguments, tuple) else (arguments, keywords))


def _stack_global(m: Machine) -> None:
    name, module = m.pop(), m.pop()
    m.push(inert(module, name))


def _global(m: Machine) -> None:
    module, name = m.line(), m.line()
    m.push(inert(module, name))


def _text_integer(m: Machine) -> None:
    line = m.line()
    if len(line) > 2 * DIGITS or not line.removesuffix("L").lstrip("-").isdecimal():
        raise CheckpointError(f"the integer {line[:20]!r}")
    m.push({"00": False, "01": True}.get(line, int(line.removesuffix("L"))))


def _text_float(m: Machine) -> None:
    line = m.line()
    try:
        m.push(float(line))
    except ValueError as error:
        raise CheckpointError(f"the number {line[:20]!r}") from error


def _extension(m: Machine) -> None:
    raise CheckpointError("the pickle uses the extension registry, which would run code")


STEPS: dict[int, Callable[[Machine], None]] = {
    ord(code): step
    for code, step in {
        "\x80": lambda m: m.number("B"),  # PROTO
        "\x95": lambda m: m.number("<Q"),  # FRAME: only a hint
        "(": lambda m: m.push(MARK),
        "0": lambda m: m.stack.pop() if m.stack else None,
        "1": lambda m: m.marked(),
        "2": lambda m: m.push(m.top()),
        "N": lambda m: m.push(None),
        "\x88": lambda m: m.push(True),
        "\x89": lambda m: m.push(False),
        "J": lambda m: m.push(m.number("<i")),
        "K": lambda m: m.push(m.number("B")),
        "M": lambda m: m.push(m.number("<H")),
        "G": lambda m: m.push(m.number(">d")),
        "\x8a": lambda m: m.push(m.integer(m.number("B"))),
        "\x8b": lambda m: m.push(m.integer(m.number("<i"))),
        "I": _text_integer,
        "L": _text_integer,
        "F": _text_float,
        "S": lambda m: m.push(m.line()[1:-1]),
        "V": lambda m: m.push(m.line()),
        "U": lambda m: m.push(bytes(m.take(m.number("B"))).decode("latin1")),
        "T": lambda m: m.push(m.take(m.number("<i"))),
        "X": lambda m: m.push(m.text(m.number("<I"))),
        "\x8c": lambda m: m.push(m.text(m.number("B"))),
        "\x8d": lambda m: m.push(m.text(m.number("<Q"))),
        "B": lambda m: m.push(m.take(m.number("<I"))),
        "C": lambda m: m.push(m.take(m.number("B"))),
        "\x8e": lambda m: m.push(m.take(m.number("<Q"))),
        "\x96": lambda m: m.push(m.take(m.number("<Q"))),
        ")": lambda m: m.push(()),
        "]": lambda m: m.push([]),
        "}": lambda m: m.push({}),
        "\x8f": lambda m: m.push([]),  # a set: kept as a list
        "t": _container(tuple),
        "l": _container(list),
        "d": _container(pairs),
        "\x91": _container(list),
        "\x85": _tuple(1),
        "\x86": _tuple(2),
        "\x87": _tuple(3),
        "a": lambda m: m.append([m.pop()]),
        "e": lambda m: m.append(m.marked()),
        "\x90": lambda m: m.append(m.marked()),
        "s": lambda m: m.assign([m.pop(), m.pop()][::-1]),
        "u": lambda m: m.assign(m.marked()),
        "p": lambda m: m.remember(m.index()),
        "q": lambda m: m.remember(m.number("B")),
        "r": lambda m: m.remember(m.number("<I")),
        "\x94": lambda m: m.remember(len(m.memo)),
        "g": lambda m: m.recall(m.index()),
        "h": lambda m: m.recall(m.number("B")),
        "j": lambda m: m.recall(m.number("<I")),
        "c": _global,
        "\x93": _stack_global,
        "R": _reduce,
        "\x81": _reduce,
        "\x92": _newobj_ex,
        "i": _instance,
        "o": _object,
        "b": lambda m: m.build(),
        "P": lambda m: m.persist(m.line()),
        "Q": lambda m: m.persist(m.pop()),
        "\x82": _extension,
        "\x83": _extension,
        "\x84": _extension,
    }.items()
}
