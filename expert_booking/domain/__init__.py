"""Decisions as pure functions of values and the time: no I/O, no clock, no framework."""
