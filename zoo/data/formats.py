"""What a file is: told by its first bytes, and by its name where that says that there is no picture in it."""

from __future__ import annotations

from enum import StrEnum

#: How many bytes of a file ``sniff`` wants to see.
HEAD = 64

_IMAGE_SUFFIXES = """
    apng avif bmp dib gif heic heif hif j2c j2k jfif jp2 jpc jpe jpeg jpf jpg jpx mpo pbm pgm png pnm ppm tif tiff webp
"""
#: Pictures go by these names; what is inside is found out when they are decoded.
IMAGE_SUFFIXES = frozenset(_IMAGE_SUFFIXES.split())

# What lies beside pictures, and why it is left out. Such a file is not opened to find out.
_OTHER = {
    "a raw camera file: convert it to JPEG": "arw cr2 cr3 dng nef nrw orf pef raf raw rw2 srw",
    "a film, not a picture": "3gp avi m4v mkv mov mp4 mpeg mpg webm wmv",
    "a drawing, not a picture of pixels: convert it to PNG": "ai emf eps pdf ps svg wmf",
    "an archive: unpack it first": "7z bz2 gz rar tar tgz xz zip zst",
    "not a picture": (
        "arrow bat cfg csv db dll doc docx exe h5 hdf5 htm html ini ipynb json jsonl lock log mat md md5 mp3 npy npz "
        "onnx parquet pkl ppt pptx pt pth py rst safetensors sh sha256 so sqlite toml tsv txt wav xls xlsx xml yaml yml"
    ),
}
_OTHER_SUFFIXES = {suffix: reason for reason, suffixes in _OTHER.items() for suffix in suffixes.split()}

_CLUTTER = frozenset(("thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r", "__macosx", "@eadir"))

_MAGIC = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"II*\x00", "TIFF"),
    (b"MM\x00*", "TIFF"),
    (b"II+\x00", "TIFF"),
    (b"MM\x00+", "TIFF"),
    (b"BM", "BMP"),
    (b"\x00\x00\x00\x0cjP  \r\n\x87\n", "JPEG2000"),
    (b"\xff\x4f\xff\x51", "JPEG2000"),
)
# In lower case.
_NOT_PICTURES = (
    (b"<!doctype", "a web page"),
    (b"<html", "a web page"),
    (b"<svg", "a drawing (SVG)"),
    (b"<?xml", "XML"),
    (b"%pdf", "a PDF"),
    (b"pk\x03\x04", "an archive"),
)
_BRANDS = {
    b"avif": "AVIF",
    b"avis": "AVIF",
    **dict.fromkeys((b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"), "HEIC"),
}


class Kind(StrEnum):
    """What a file's name says of it."""

    IMAGE = "image"
    UNKNOWN = "unknown"
    OTHER = "other"
    CLUTTER = "clutter"


def kind_of(name: str) -> Kind:
    """What the name of a file or folder says: a picture, clutter of an operating system, something else, or nothing."""
    if name.startswith(".") or name.lower() in _CLUTTER:
        return Kind.CLUTTER
    suffix = _suffix(name)
    if suffix in IMAGE_SUFFIXES:
        return Kind.IMAGE
    return Kind.OTHER if suffix in _OTHER_SUFFIXES else Kind.UNKNOWN


def other_reason(name: str) -> str:
    """Why a file of ``Kind.OTHER`` is left out, in words."""
    suffix = _suffix(name)
    return f"{_OTHER_SUFFIXES[suffix]} (.{suffix})"


def sniff(head: bytes) -> str | None:
    """The format that a file's first ``HEAD`` bytes tell: Pillow's name, or "HEIC"; None where it is no picture."""
    for magic, name in _MAGIC:
        if head.startswith(magic):
            return name
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WEBP"
    if head[:1] == b"P" and head[1:2] in b"123456" and head[2:3].isspace():
        return "PPM"
    if head[4:8] == b"ftyp":
        return _brand(head)
    return None


def describe(head: bytes) -> str:
    """What a file that is no picture is, as far as its first bytes tell; a reason for people to read."""
    if not head:
        return "an empty file"
    if not any(head):
        return "a file of zeros"
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n")[:16].lower()
    for magic, what in _NOT_PICTURES:
        if start.startswith(magic):
            return f"not a picture but {what}"
    if all(byte >= 32 or byte in b"\t\r\n\f" for byte in head) and 127 not in head:
        return "not a picture but text"
    return "not a picture in a format that can be read"


def _suffix(name: str) -> str:
    return name.rpartition(".")[2].lower() if "." in name else ""


def _brand(head: bytes) -> str | None:
    """AVIF and HEIC share one container; the major brand decides, then the compatible ones."""
    brands = [head[8:12], *(head[i : i + 4] for i in range(16, len(head) - 3, 4))]
    known = [_BRANDS[brand] for brand in brands if brand in _BRANDS]
    return "AVIF" if "AVIF" in known else (known[0] if known else None)
