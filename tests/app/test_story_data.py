"""What the pages know of the stories."""

from gptcore.stories import shipped_scores
from pages.kit import story_data


def test_without_shipped_scores_a_worker_measures_the_same(tmp_path, monkeypatch):
    shipped = story_data.table_scores()
    assert list(shipped) == [3, 5, 7]
    monkeypatch.setattr(shipped_scores, "FILE", tmp_path / "table_scores.json")
    shipped_scores.shipped_table_scores.cache_clear()
    try:
        assert story_data.table_scores() is None
        story_data._scoring().result()
        measured = story_data.table_scores()
    finally:
        shipped_scores.shipped_table_scores.cache_clear()
    assert measured == shipped, "outdated: run python -m gptcore.stories.shipped_scores"
