"""The core that pytest, the command, the web page and notebooks share; it does not know pytest."""
