"""E-mail addresses: what tells one customer from another."""

from email_validator import EmailNotValidError, validate_email


class Address(str):
    """An e-mail address that was looked at, together with its key: to look at it once is costly enough."""

    __slots__ = ("key",)
    key: str

    @classmethod
    def of(cls, email: str) -> "Address":
        """Raises what `customer_key` raises."""
        address = cls(email)
        address.key = customer_key(email)
        return address


def customer_key(email: str) -> str:
    """The form of an address by which a customer is known.

    Lower case, the domain as in DNS (IDNA). Only ASCII letters of the local part are folded, so that letters which
    merely look alike (the Kelvin sign, a Cyrillic а) stay different people.
    Raises ValueError with a sentence for people when it is no e-mail address. Nothing is remembered: how long it takes
    must not tell who has been here lately.
    """
    if isinstance(email, Address):
        return email.key
    # Folded before it is normalised: normalising makes a Kelvin sign a capital K, which then stays one.
    folded = "".join(letter.lower() if letter.isascii() else letter for letter in email)
    try:
        parts = validate_email(folded, check_deliverability=False)
    except EmailNotValidError as error:
        raise ValueError(str(error)) from error
    return f"{parts.local_part}@{(parts.ascii_domain or parts.domain).lower()}"


def in_ascii(email: str) -> str:
    """The address as mail servers take it: the domain as in DNS (IDNA), the part before it as it is.

    Raises ValueError with a sentence when it is no e-mail address.
    """
    try:
        parts = validate_email(email, check_deliverability=False)
    except EmailNotValidError as error:
        raise ValueError(str(error)) from error
    return f"{parts.local_part}@{parts.ascii_domain or parts.domain}"
