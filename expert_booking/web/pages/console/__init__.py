"""The pages of the console, one module each. They share the frame in `web/console.py`."""
