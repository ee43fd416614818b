"""Signing in without an account: enter an address, then the code from the email. Sends plain HTTP requests."""

from nicegui.element import Element

from expert_booking.schemas import EMAIL_LENGTH


class SignIn(Element, component="sign_in.js", dependencies=["question.js"]):
    """Asks for an address, then for the code that was emailed to it. A tab remembers which step it is at."""

    def __init__(self, *, next_path: str, title: str, mails: bool, start_over: bool = False) -> None:
        """`next_path` is where to go after signing in. `mails`: the site sends emails; if not, a note says so.

        `start_over`: ignore a code that was requested earlier in this tab.
        """
        super().__init__()
        self._props["next"] = next_path
        self._props["title"] = title
        self._props["mails"] = mails
        self._props["startOver"] = start_over
        self._props["emailLength"] = EMAIL_LENGTH
