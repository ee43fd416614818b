"""Emails: wording, layout, calendar files and delivery over SMTP. Only `send` does I/O."""
