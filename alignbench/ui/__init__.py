"""`alignbench ui`: a web page for the same experiments that the benchmarks run.

Only `server`, `page` and `fields` import gradio (the extra `ui`); the other modules do not depend on it.
"""
