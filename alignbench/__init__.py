"""alignbench: which vision encoder fits this LLM, and how sure can you be?"""

__version__ = "0.1.0"
