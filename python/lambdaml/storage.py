"""The engine's stores: keys to bytes, by URI (``docs/reference/channels.md``)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any, Optional

from . import _checks, _lambdaml
from ._types import Place


def open(uri: Place) -> Store:
    """Opens a store.

    Parameters
    ----------
    uri : str or path
        A URI, path or bare name: ``"s3://bucket/prefix"``, ``"redis://host"`` …

    Returns
    -------
    Store

    Raises
    ------
    lambdaml.InvalidArgument
        There is no such kind of store.
    """
    return Store(_lambdaml.open_store(os.fspath(uri)))


class Store:
    """Keys to bytes that every worker can reach; keys are relative to the store's URI.

    Used as a mapping, too: ``store["a/b"] = b"…"``, ``"a/b" in store``, ``for key in store``.

    Examples
    --------
    >>> store = lambdaml.storage.open("memory://example")
    >>> store["a/b"] = b"bytes"
    >>> store["a/b"], "a/c" in store, store.list("a/")
    (b'bytes', False, {'a/b': 5})
    """

    def __init__(self, engine: _lambdaml.Store) -> None:
        self._engine = engine

    def load(self, key: str) -> Optional[bytes]:
        """The value of a key.

        Parameters
        ----------
        key : str
            Relative to the store's URI: ``"a/b"``.

        Returns
        -------
        bytes or None
            None if there is no such key.
        """
        return self._engine.load(_checks.text("key", key))

    def load_range(self, key: str, begin: int, length: int) -> Optional[bytes]:
        """A part of the value of a key.

        Parameters
        ----------
        key : str
            Relative to the store's URI: ``"a/b"``.
        begin : int
            The first byte, from 0.
        length : int
            So many bytes at most.

        Returns
        -------
        bytes or None
            None if there is no such key; fewer bytes at the value's end.
        """
        return self._engine.load_range(
            _checks.text("key", key), _checks.whole("begin", begin, 0), _checks.whole("length", length, 0)
        )

    def save(self, key: str, value: Any) -> None:
        """Saves a value: the last save of a key wins.

        Parameters
        ----------
        key : str
            Relative to the store's URI: ``"a/b"``.
        value : bytes or array
            An array's bytes must lie one after the other.
        """
        try:
            memoryview(value)
        except TypeError:
            raise TypeError(f"value must be bytes or an array, not {type(value).__name__}") from None
        self._engine.save(_checks.text("key", key), value)

    def remove(self, key: str) -> None:
        """Removes a key, if it is there.

        Parameters
        ----------
        key : str
            Relative to the store's URI: ``"a/b"``.
        """
        self._engine.remove(_checks.text("key", key))

    def list(self, prefix: str = "") -> dict[str, int]:
        """The keys that begin with a prefix.

        Parameters
        ----------
        prefix : str
            By default empty: all keys.

        Returns
        -------
        dict of str to int
            The keys, in order, and the sizes of their values in bytes.
        """
        return dict(self._engine.list(_checks.text("prefix", prefix)))

    def clear(self, prefix: str) -> None:
        """Removes all keys that begin with a prefix.

        Parameters
        ----------
        prefix : str
            Empty: all keys.
        """
        self._engine.clear(_checks.text("prefix", prefix))

    def __getitem__(self, key: str) -> bytes:
        value = self.load(key)
        if value is None:
            raise KeyError(key)
        return value

    def __setitem__(self, key: str, value: Any) -> None:
        self.save(key, value)

    def __delitem__(self, key: str) -> None:
        if key not in self:
            raise KeyError(key)
        self.remove(key)

    def __contains__(self, key: object) -> bool:
        return isinstance(key, str) and self._engine.exists(key)

    def __iter__(self) -> Iterator[str]:
        return iter(self.list())

    def __len__(self) -> int:
        return len(self.list())

    def __repr__(self) -> str:
        return f"lambdaml.storage.Store {self._engine.name}"
