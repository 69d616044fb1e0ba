"""Maps that are never changed: what is put in or left out gives another map, and most of both is shared.

So a transition costs the same for twenty users and for twenty thousand. A map has no order: whoever shows it
sorts it. The library's class takes no type arguments while the program runs, so modules that write
`Table[...]` put their annotations off (`from __future__ import annotations`).
"""

from rpds import HashTrieMap as Table

__all__ = ["Table"]
