"""A module that cannot be imported."""

raise ValueError("3 heads do not fit")
