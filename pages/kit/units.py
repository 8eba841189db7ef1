"""Numbers with their units, as people write them."""


def readable_bytes(n_bytes: float) -> str:
    """Bytes in steps of a thousand.

    >>> readable_bytes(512), readable_bytes(4_460_000)
    ('512 bytes', '4.46 MB')
    """
    for unit, step in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if n_bytes >= step:
            return f"{n_bytes / step:.3g} {unit}"
    return f"{n_bytes:.0f} bytes"
