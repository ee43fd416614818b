"""A customer's own data: a link that downloads it, and a dialog that deletes it."""

from nicegui.element import Element


class MyData(Element, component="my_data.js"):
    """The dialog says what is deleted and what stays. Its form is plain, because the response replaces the cookie."""

    def __init__(self, *, email: str, is_host: bool) -> None:
        """`email` is the address that the browser has proven. `is_host`: it belongs to an expert or admin, too."""
        super().__init__()
        self._props["email"] = email
        self._props["isHost"] = is_host
        self._props["upcoming"] = 0

    def show(self, upcoming: int) -> None:
        """Say how many upcoming bookings there are."""
        if self._props["upcoming"] != upcoming:
            self._props["upcoming"] = upcoming
            self.update()
