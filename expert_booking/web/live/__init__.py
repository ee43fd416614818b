"""Live updates: pages subscribe to what they show, read it, and get every change over their websocket."""
