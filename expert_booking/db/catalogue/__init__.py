"""Statements that search the catalogue: words of a search, one page with its total, and counts for the filters."""

from expert_booking.db.catalogue.facets import facets
from expert_booking.db.catalogue.page import Found, find
from expert_booking.db.catalogue.wanted import Span, Wanted
from expert_booking.db.catalogue.words import Word, one_slip, read_words

__all__ = ["Found", "Span", "Wanted", "Word", "facets", "find", "one_slip", "read_words"]
