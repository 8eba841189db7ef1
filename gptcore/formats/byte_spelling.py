r"""Bytes as text: JSON cannot hold bytes, so byte-level vocabularies write each byte as a visible character.

The table is GPT-2's (Radford et al. 2019). Visible ASCII and Latin-1 characters are themselves, the rest follows
from U+0100 on:

>>> bytes_to_unicode(b" the"), bytes_to_unicode("é".encode())
('Ġthe', 'Ã©')
>>> unicode_to_bytes("Ġthe")
b' the'
"""

from gptcore.bpe import BYTE_ORDER

_N_VISIBLE = BYTE_ORDER.index(0)  # visible bytes come first and are written as themselves
_CHARACTERS = {
    byte: chr(byte if rank < _N_VISIBLE else 256 + rank - _N_VISIBLE) for rank, byte in enumerate(BYTE_ORDER)
}
_BYTES = {character: byte for byte, character in _CHARACTERS.items()}


def bytes_to_unicode(token: bytes) -> str:
    """Write bytes as `tokenizers` does, each as one visible character."""
    return "".join(map(_CHARACTERS.__getitem__, token))


def unicode_to_bytes(text: str) -> bytes:
    """Return the bytes that a spelled token is; KeyError where a character is none of the 256."""
    return bytes(map(_BYTES.__getitem__, text))
