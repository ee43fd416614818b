"""URLs of NiceGUI's components by content hash.

NiceGUI hashes a file's path and modification time, so two installations of the same version differ, and a page of one
process requests files that the others do not have. With a content hash, equal files have equal URLs, and a URL that is
cached forever always means the same file.
"""

import hashlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from nicegui import dependencies
from nicegui.element import Element


def use_content_hashes() -> None:
    """Change the URLs of all registered components, and of those registered later."""
    dependencies.compute_key = _key
    for registry in (
        dependencies.vue_components,
        dependencies.js_components,
        dependencies.libraries,
        dependencies.resources,
        dependencies.esm_modules,
    ):
        _rename(registry)
    # Each element class has a copy of its component, and pages take the URL from it.
    for element in _subclasses(Element):
        if element.component:
            element.component.key = _key(element.component.path)


def _rename(registry: dict[str, Any]) -> None:
    entries = list(registry.values())
    registry.clear()
    for entry in entries:
        key = _key(entry.path)
        if hasattr(entry, "key"):
            entry.key = key
        registry[key] = entry


@cache
def _key(path: Path, *, max_time: float | None = None) -> str:
    """`HASH/NAME` for a file, `HASH` for a folder. `max_time` is part of NiceGUI's signature and not used."""
    if path.is_file():
        return f"{_hash(path.read_bytes())}/{path.name}"
    files = sorted(file for file in path.rglob("*") if file.is_file())
    return _hash(b"".join(_hash(file.read_bytes() + str(file.relative_to(path)).encode()).encode() for file in files))


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:32]


def _subclasses(of: type[Element]) -> Iterator[type[Element]]:
    for subclass in of.__subclasses__():
        yield subclass
        yield from _subclasses(subclass)
