"""The labs of the page `explainers`."""

from pages.labs.explainers import live_block, print_view, topic, topic_list

__all__ = ["live_block", "print_view", "topic", "topic_list"]
