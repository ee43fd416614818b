"""When somebody comes back to a page, it looks again: not everything that may have changed is news."""

from collections.abc import Callable
from typing import Final

from nicegui import ui

_WHEN_SEEN: Final = """<script>
for (const event of ["focus", "visibilitychange"])
  addEventListener(event, () => {
    if (!document.hidden && window.socket?.connected) emitEvent("seen");
  });
</script>"""


def when_seen(look: Callable[[], None]) -> None:
    """Have `look` called whenever this page gets the focus, or is shown again."""
    ui.add_body_html(_WHEN_SEEN)
    ui.on("seen", lambda _: look())
