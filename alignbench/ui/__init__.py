"""`alignbench ui`: a web page over the same experiments that the benchmarks run.

Only `server` and `page` import gradio (the extra `ui`); what they show is made in the other modules, which do
not know of a page. Nothing here is imported unless the command runs.
"""
