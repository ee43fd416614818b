"""Expert Booking: browse experts, see free slots live, book one and manage the booking."""

import zoneinfo

__version__ = "0.1.0"

# Time zone rules come from the package tzdata, which is pinned, and not from the system, whose copy may be old. This
# runs before any other module of the product creates a zone.
zoneinfo.reset_tzpath(())
zoneinfo.ZoneInfo.clear_cache()
