"""Mail: its words, its calendar files, and the way to the mail server. Pure but for the last."""
