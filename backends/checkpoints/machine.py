"""What the opcodes of a pickle work on: a stack, a memo, a position in the file, and budgets.

Text and bytes are views of the file (usually a memory map), so tensors inside a pickle of 400 MB cost nothing
to open. The budgets stop files that are made to exhaust memory or the stack.
"""

import struct
from collections.abc import Callable
from typing import Any

from backends.checkpoints.objects import CheckpointError, Opaque, Storage, construct, update

DEPTH = 200  # of containers in containers; a checkpoint has about 20
DIGITS = 64  # bytes of one integer
SPARE = 16 << 20  # bytes that objects may copy beyond the size of the file
MARK = object()


def scalar(key: Any) -> Any:
    """`key`, if it may be a key: hashing a deeply nested one would overflow the stack."""
    flat = key if isinstance(key, tuple) else (key,)
    if all(isinstance(part, str | int | float | bool | type(None) | Opaque) for part in flat):
        return key
    if isinstance(key, memoryview):
        return bytes(key)
    raise CheckpointError(f"a dict key of type {type(key).__name__}")


def pairs(items: list[Any]) -> dict[Any, Any]:
    if len(items) % 2:
        raise CheckpointError("a dict with a key but no value")
    return {scalar(key): value for key, value in zip(items[::2], items[1::2], strict=True)}


class Machine:
    """Stack, memo and position while one pickle of `data` is read; arguments as those of `unpickle.load`."""

    def __init__(
        self, data: memoryview, position: int, persistent: Callable[[Any], Any] | None, calls: bool
    ) -> None:
        self.data, self.position = data, position
        self.persistent, self.calls = persistent, calls
        self.room = len(data) + SPARE  # what `call` may still copy
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}
        self.depths: dict[int, int] = {}  # id of a container -> how deep it is
        self.alive: list[Any] = []  # keeps those ids unique

    def take(self, size: int) -> memoryview:
        """The next `size` bytes, as a view."""
        if size < 0 or self.position + size > len(self.data):
            raise CheckpointError(
                f"the pickle is cut off: {size:,} bytes wanted at {self.position:,} of {len(self.data):,}"
            )
        self.position += size
        return self.data[self.position - size : self.position]

    def number(self, layout: str) -> Any:
        return struct.unpack(layout, self.take(struct.calcsize(layout)))[0]

    def line(self) -> str:
        """Text up to the end of the line (protocol 0)."""
        start = self.position
        while self.take(1)[0] != 0x0A:
            if self.position - start > 4096:
                raise CheckpointError("a line of the pickle is longer than 4,096 bytes")
        return bytes(self.data[start : self.position - 1]).decode("latin1")

    def index(self) -> int:
        """A memo index written as text (protocol 0)."""
        line = self.line()
        if not line.isdecimal() or len(line) > 12:
            raise CheckpointError(f"the memo index {line[:20]!r}")
        return int(line)

    def pop(self) -> Any:
        if not self.stack or self.stack[-1] is MARK:
            raise CheckpointError("the pickle takes from an empty stack")
        return self.stack.pop()

    def top(self) -> Any:
        if not self.stack or self.stack[-1] is MARK:
            raise CheckpointError("the pickle reads from an empty stack")
        return self.stack[-1]

    def marked(self) -> list[Any]:
        """Everything above the topmost mark."""
        for index in range(len(self.stack) - 1, -1, -1):
            if self.stack[index] is MARK:
                items = self.stack[index + 1 :]
                del self.stack[index:]
                return items
        raise CheckpointError("the pickle has no mark where one is needed")

    def push(self, value: Any) -> None:
        self.stack.append(value)

    def hold(self, container: Any, children: list[Any]) -> Any:
        """`container`, after a check that its nesting stays within the budget."""
        depth = 1 + max((self.depths.get(id(child), 0) for child in children), default=0)
        if depth > DEPTH:
            raise CheckpointError(f"objects are nested more than {DEPTH} deep; no checkpoint needs that")
        if depth > self.depths.get(id(container), 0):
            self.depths[id(container)] = depth
            self.alive.append(container)
        return container

    def integer(self, size: int) -> int:
        if not 0 <= size <= DIGITS:
            raise CheckpointError(f"an integer of {size:,} bytes")
        return int.from_bytes(self.take(size), "little", signed=True)

    def text(self, size: int) -> str:
        return bytes(self.take(size)).decode("utf-8", "surrogatepass")

    def remember(self, index: int) -> None:
        self.memo[index] = self.top()

    def recall(self, index: int) -> None:
        if index not in self.memo:
            raise CheckpointError(f"the pickle refers to object {index}, which it has not made")
        self.push(self.memo[index])

    def append(self, items: list[Any]) -> None:
        target = self.top()
        if isinstance(target, Opaque):
            target.items.extend(items)
        elif isinstance(target, list):
            target.extend(items)
        else:
            raise CheckpointError(f"the pickle appends to a {type(target).__name__}")
        self.hold(target, items)

    def assign(self, items: list[Any]) -> None:
        target = self.top()
        entries = target.entries if isinstance(target, Opaque) else target
        if not isinstance(entries, dict) or len(items) % 2:
            raise CheckpointError(f"the pickle sets items of a {type(target).__name__}")
        for key, value in zip(items[::2], items[1::2], strict=True):
            entries[scalar(key)] = value
        self.hold(target, items[1::2])

    def call(self, kind: Any, arguments: Any) -> None:
        """REDUCE, NEWOBJ and their like: the stand-in's answer, never a call into Python."""
        if not self.calls:
            raise CheckpointError("a checkpoint nested in a checkpoint calls for more than its data")
        arguments = arguments if isinstance(arguments, tuple) else (arguments,)
        # The same few bytes can be asked for again and again, and each answer may be a copy.
        self.spend(8 * len(arguments))
        answer = construct(kind, arguments)
        if isinstance(answer, Storage):
            self.spend(answer.data.nbytes)
        elif isinstance(answer, bytes):
            self.spend(len(answer))
        elif isinstance(answer, dict | list | tuple):
            self.spend(64 * len(answer))
        self.push(self.hold(answer, list(arguments)))

    def spend(self, size: int) -> None:
        self.room -= size
        if self.room < 0:
            raise CheckpointError("objects that copy more than the file holds: made to exhaust memory")

    def build(self) -> None:
        state = self.pop()
        self.hold(update(self.top(), state), [state])

    def persist(self, identifier: Any) -> None:
        if self.persistent is None:
            raise CheckpointError("the pickle refers to data outside itself")
        self.push(self.persistent(identifier))
