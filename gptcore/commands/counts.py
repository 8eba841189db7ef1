"""The counts that commands take."""

LARGEST_COUNT = 1_000_000  # of stories, or of tokens to sample


def check_count(option: str, count: int) -> None:
    """Raise ValueError for a count below 1, or so large that nobody can mean it."""
    if not 1 <= count <= LARGEST_COUNT:
        side = "below 1" if count < 1 else f"above {LARGEST_COUNT:,}"
        raise ValueError(f"--{option} {str(count)[:40]} is {side}")
