"""What is remembered of the last sessions, so that it cannot grow for ever."""

import threading
from collections import OrderedDict
from typing import Generic, TypeVar

T = TypeVar("T")


class Recent(Generic[T]):
    """By session, for the last ones that set anything: who leaves without a word is forgotten in the end."""

    def __init__(self, most: int = 1000) -> None:
        self.most = most
        self._values: OrderedDict[str, T] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, session: str) -> T | None:
        return self._values.get(session)

    def __setitem__(self, session: str, value: T) -> None:
        with self._lock:
            self._values[session] = value
            self._values.move_to_end(session)
            while len(self._values) > self.most:
                self._values.popitem(last=False)

    def pop(self, session: str) -> None:
        with self._lock:
            self._values.pop(session, None)
