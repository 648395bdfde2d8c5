"""Formats of images: those that are read, and how those are called that are not."""

from __future__ import annotations

FORMATS = {
    "PNG": (".png",),
    "JPEG": (".jpg", ".jpeg"),
    "WEBP": (".webp",),
    "BMP": (".bmp",),
    "GIF": (".gif",),
    "TIFF": (".tif", ".tiff"),
    "AVIF": (".avif",),
}
"""Name, as Pillow has it -> endings of file names."""

SUFFIXES = tuple(suffix for suffixes in FORMATS.values() for suffix in suffixes)

_STARTS = {
    b"\x89PNG\r\n\x1a\n": "PNG",
    b"\xff\xd8\xff": "JPEG",
    b"BM": "BMP",
    b"GIF87a": "GIF",
    b"GIF89a": "GIF",
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
    b"II+\0": "TIFF",
    b"MM\0+": "TIFF",
}
_OTHER_STARTS = {
    b"%PDF": "a PDF file: export its pages as images",
    b"8BPS": "a Photoshop file: export it as PNG",
    b"\xff\x0a": "a JPEG XL image: convert it to PNG",
    b"\0\0\0\x0cJXL ": "a JPEG XL image: convert it to PNG",
    b"\0\0\0\x0cjP  ": "a JPEG 2000 image: convert it to PNG",
    b"\0\0\x01\0": "an icon (ICO): convert it to PNG",
    b"PK\x03\x04": "a ZIP archive: unpack it",
    b"\x1f\x8b": "a file compressed with gzip: unpack it",
    b"version https://git-lfs": "a pointer of Git LFS: `git lfs pull` downloads the image",
    b"SIMPLE  =": "a FITS file: convert it to PNG",
    b"\x76\x2f\x31\x01": "an OpenEXR image: convert it to PNG",
}
_BRANDS = {
    b"heic": "a HEIC photo: convert it to JPEG",
    b"heix": "a HEIC photo: convert it to JPEG",
    b"mif1": "a HEIF photo: convert it to JPEG",
    b"msf1": "a HEIF sequence: convert an image of it to JPEG",
    b"avis": "an AVIF sequence: expected one still image",
}
_MARKUP = {"<svg": "an SVG drawing: export it as PNG", "<html": "a page of HTML, not an image"}


def kind_of(data: bytes) -> str | None:
    """Return the supported format that the file's first bytes indicate; None for any other."""
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WEBP"
    if _brand(data) == b"avif":
        return "AVIF"
    return next((name for start, name in _STARTS.items() if data.startswith(start)), None)


def name_of_other(data: bytes) -> str | None:
    """Return what a file is that is in none of the supported formats, if its first bytes tell."""
    for start, name in _OTHER_STARTS.items():
        if data.startswith(start):
            return name
    brand = _brand(data)
    if brand is not None:
        return _BRANDS.get(brand, "a video or a photo in a container of MPEG-4: export it as JPEG")
    text = data[:1024].decode("utf-8", "replace").lower()
    if "<!doctype html" in text:
        return _MARKUP["<html"]
    return next((name for tag, name in _MARKUP.items() if tag in text), None)


def _brand(data: bytes) -> bytes | None:
    """Return the brand of a file in the container of MPEG-4; AVIF may be among its compatible ones only."""
    if data[4:8] != b"ftyp":
        return None
    brands = [data[8:12], *(data[at : at + 4] for at in range(16, min(_length(data), 128), 4))]
    return b"avif" if b"avif" in brands and brands[0] != b"avis" else brands[0]


def _length(data: bytes) -> int:
    return int.from_bytes(data[:4], "big")
