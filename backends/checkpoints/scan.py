"""A look at the opcodes of a pickle before it is read: nothing in it may exhaust memory, time or the stack.

Python's unpickler trusts its input: it makes room for as many objects as the memo claims, and hashes whatever
is a key. What it does to its stack is followed here with the depths of objects in place of the objects.
"""

import pickletools
from typing import Any

from backends.checkpoints.objects import CheckpointError

OPCODES = 250_000  # a StyleGAN2 checkpoint has about 10,000, with its optimisers 50,000
DEPTH = 200  # of containers in containers; a checkpoint has about 20
BITS = 512  # of an integer
REFUSED = {"EXT1", "EXT2", "EXT4", "NEXT_BUFFER", "READONLY_BUFFER"}
KEYS = {  # of the operands, which are dict keys or items of a set
    "SETITEM": slice(1, 2),
    "SETITEMS": slice(1, None, 2),
    "DICT": slice(0, None, 2),
    "ADDITEMS": slice(1, None),
    "FROZENSET": slice(0, None),
}
CHANGES = {"APPEND", "APPENDS", "SETITEM", "SETITEMS", "ADDITEMS", "BUILD"}  # its first operand
MARK = pickletools.markobject
Item = tuple[int, bool]  # depth of nesting, and whether it must not be hashed
MARKED: Item = (-1, False)  # a mark on the stack


def scan(stream: Any) -> None:
    """Goes through the opcodes with a stack of depths in place of objects. Raises CheckpointError."""
    stack: list[Item] = []
    memo: dict[int, Item] = {}
    for number, (opcode, argument, position) in enumerate(pickletools.genops(stream)):
        name = opcode.name
        if number > OPCODES:
            raise CheckpointError(f"more than {OPCODES:,} operations; no checkpoint needs that many")
        if name in REFUSED:
            raise CheckpointError(f"the pickle uses {name}, an extension that would reach outside of it")
        if isinstance(argument, int) and argument.bit_length() > BITS:
            raise CheckpointError(f"an integer of {argument.bit_length():,} bits at {position:,}")
        if "PUT" in name or name == "MEMOIZE":
            index = len(memo) if argument is None else argument
            if not 0 <= index <= number:  # the unpickler would allocate as many places
                raise CheckpointError("the memo of the pickle is larger than the file")
            memo[index] = _popped(stack, 1)[0]
            stack.append(memo[index])
        elif "GET" in name:
            if argument not in memo:
                raise CheckpointError(f"the pickle refers to object {argument}, which it has not made")
            stack.append(memo[argument])
        elif name == "POP" and stack:  # may also take a mark
            stack.pop()
        else:
            _step(stack, opcode, argument)


def _step(stack: list[Item], opcode: pickletools.OpcodeInfo, argument: Any) -> None:
    """What an opcode does to the stack."""
    name, before = opcode.name, opcode.stack_before
    items = _popped(stack, len(before)) if MARK not in before else _marked(stack, before.index(MARK))
    if name in KEYS and any(unhashable for _, unhashable in items[KEYS[name]]):
        # Tuples can hold each other so that hashing one takes for ever; long integers can share one hash.
        raise CheckpointError("a dict key that is a tuple or a huge integer")
    depth = 1 + max((depth for depth, _ in items), default=-1)
    if name in CHANGES:
        depth = max(items[0][0], 1 + max((depth for depth, _ in items[1:]), default=0))
    if depth > DEPTH:
        raise CheckpointError(f"objects that are nested more than {DEPTH} deep; no checkpoint needs that")
    huge = isinstance(argument, int) and argument.bit_length() > 64
    made = items[0] if name == "DUP" else (depth, huge or "TUPLE" in name)
    stack.extend(MARKED if kind is MARK else made for kind in opcode.stack_after)


def _popped(stack: list[Item], count: int) -> list[Item]:
    items = stack[len(stack) - count :]
    if count > len(stack) or MARKED in items:
        raise CheckpointError("the pickle takes from an empty stack")
    del stack[len(stack) - count :]
    return items


def _marked(stack: list[Item], below: int) -> list[Item]:
    """`below` items, a mark, and everything above it."""
    # from the end, or time would grow with the square of the file
    position = next((i for i in range(len(stack) - 1, -1, -1) if stack[i] == MARKED), -1)
    if position < 0:
        raise CheckpointError("the pickle has no mark where one is needed")
    above = stack[position + 1 :]
    del stack[position:]
    return [*_popped(stack, below), *above]
