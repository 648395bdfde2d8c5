"""The core that pytest, the command, the web page and a notebook share; it knows no pytest."""
