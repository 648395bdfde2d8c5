"""Datasets: images with texts, from label files in the `messages` format or drawn on demand."""

from alignbench.datasets.catalog import DATASETS, DatasetFactory, load_dataset
from alignbench.datasets.dataset import (
    Dataset,
    DroppedRow,
    Sample,
    all_wordings,
    drawn_wordings,
    get_images_and_texts,
    normalised,
    with_groups,
)
from alignbench.datasets.images import check_image, open_image
from alignbench.datasets.load import load_mixed, load_samples
from alignbench.datasets.reading import READERS, Layout, Place, Reader, Reading
from alignbench.datasets.row import Row

__all__ = [
    "DATASETS",
    "READERS",
    "Dataset",
    "DatasetFactory",
    "DroppedRow",
    "Layout",
    "Place",
    "Reader",
    "Reading",
    "Row",
    "Sample",
    "all_wordings",
    "check_image",
    "drawn_wordings",
    "get_images_and_texts",
    "load_dataset",
    "load_mixed",
    "load_samples",
    "normalised",
    "open_image",
    "with_groups",
]
