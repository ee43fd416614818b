"""Signing in without an account: an address, then the code in the mail that went there. What it sends is plain HTTP."""

from nicegui.element import Element

from expert_booking.schemas import EMAIL_LENGTH


class SignIn(Element, component="sign_in.js"):
    """Asks for an address and has a mail sent there; then takes the code in it. A page that is left keeps its stage."""

    def __init__(self, *, next_path: str, title: str, mails: bool, anew: bool = False) -> None:
        """`next_path` is where to go then. Where the site sends no mail (`mails`), only that is said.

        `anew`: whatever was asked for before is over.
        """
        super().__init__()
        self._props["next"] = next_path
        self._props["title"] = title
        self._props["mails"] = mails
        self._props["anew"] = anew
        self._props["emailLength"] = EMAIL_LENGTH
