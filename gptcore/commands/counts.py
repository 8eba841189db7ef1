"""The counts that commands take."""

LARGEST_COUNT = 1_000_000  # of stories, or of tokens to sample


def check_count(option: str, count: int) -> None:
    """Raise ValueError for a count that is not from 1 to LARGEST_COUNT."""
    if not 1 <= count <= LARGEST_COUNT:
        raise ValueError(f"--{option} {str(count)[:40]} must be from 1 to {LARGEST_COUNT:,}")
