"""The story world: a grammar, the writer of stories, the parser, and the story scores."""

from gptcore.stories.writer import PROMPTS, Story, write_stories, write_story

__all__ = ["PROMPTS", "Story", "write_stories", "write_story"]
