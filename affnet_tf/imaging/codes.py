"""What the bytes of an image file say without decoding it."""

from __future__ import annotations

__all__ = ["breaks_off", "examine_jpeg", "is_jpeg"]

# Start of frame, in all the kinds of JPEG; 0xC4, 0xC8 and 0xCC among them mean something else.
_FRAME = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_SCAN, _FILL = 0xDA, 0xFF


def is_jpeg(data: bytes) -> bool:
    """Whether it begins as a JPEG does."""
    return data.startswith(b"\xff\xd8")


def examine_jpeg(data: bytes) -> tuple[bool, tuple[int, int] | None]:
    """Whether a JPEG lacks its end marker, and its height and width in pixels where its header says them."""
    size, position = None, 2
    # Segments are skipped by their length: an EXIF thumbnail has a frame, a scan and an end marker of its own.
    while position + 4 <= len(data) and data[position] == 0xFF and (marker := data[position + 1]) != _SCAN:
        if marker in _FRAME:
            size = tuple(int.from_bytes(data[at : at + 2], "big") for at in (position + 5, position + 7))
        position += 1 if marker == _FILL else 2 + int.from_bytes(data[position + 2 : position + 4], "big")
    # Inside the scan, 0xFF is always followed by 0x00 or a restart marker. From behind, because that is where it stands.
    return data.rfind(b"\xff\xd9") < position, size if size and all(size) else None


def breaks_off(data: bytes) -> bool:
    """Whether a PNG lacks its last chunk; False for any other format."""
    return data.startswith(b"\x89PNG\r\n\x1a\n") and b"IEND\xaeB`\x82" not in data
