"""The readers that alignbench brings: a file for each format."""

from alignbench.datasets.reading import READERS

for _module, _names in {
    "messages": ("messages", "llava"),
    "coco": ("coco",),
    "table": ("table",),
    "archive": ("webdataset",),
    "saved": ("datasets",),
    "folder": ("imagefolder",),
    "tree": ("tree",),
}.items():
    for _name in _names:
        READERS.add(_name, f"alignbench.datasets.readers.{_module}:{_name.upper()}")
