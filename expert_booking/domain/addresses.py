"""Email addresses, and the normalised key by which a customer is identified."""

from email_validator import EmailNotValidError, validate_email


class Address(str):
    """A validated email address with its customer key, so that the costly validation runs only once."""

    __slots__ = ("key",)
    key: str

    @classmethod
    def of(cls, email: str) -> "Address":
        """Validate an address. Raises ValueError like `customer_key`."""
        address = cls(email)
        address.key = customer_key(email)
        return address


def customer_key(email: str) -> str:
    """The normalised address that identifies a customer: lower case, with the domain as in DNS (IDNA).

    Only ASCII letters of the local part are lower-cased, so that letters which merely look alike (the Kelvin sign, a
    Cyrillic а) stay different customers. Raises ValueError with a message for people if the address is not valid.
    Not cached: the response time must not reveal which addresses were used recently.
    """
    if isinstance(email, Address):
        return email.key
    # Lower-case before normalising: normalisation turns a Kelvin sign into an ASCII K, which must stay upper case.
    folded = "".join(letter.lower() if letter.isascii() else letter for letter in email)
    try:
        parts = validate_email(folded, check_deliverability=False)
    except EmailNotValidError as error:
        raise ValueError(str(error)) from error
    return f"{parts.local_part}@{(parts.ascii_domain or parts.domain).lower()}"


def in_ascii(email: str) -> str:
    """The address as mail servers expect it: the domain as in DNS (IDNA), the local part unchanged.

    Raises ValueError with a message for people if the address is not valid.
    """
    try:
        parts = validate_email(email, check_deliverability=False)
    except EmailNotValidError as error:
        raise ValueError(str(error)) from error
    return f"{parts.local_part}@{parts.ascii_domain or parts.domain}"
