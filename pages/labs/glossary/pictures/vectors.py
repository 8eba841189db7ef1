"""Pictures of vectors and logits, one per term."""

from gptcore.config import PRESETS
from gptcore.experiments.measurements.model import tying_saves
from gptcore.interpret.embedding_table import cosines as between
from gptcore.interpret.gradient_depth import residual_updates
from gptcore.lessons.published_models import PUBLISHED
from pages.kit import chips, grids, models
from pages.kit.figures import Picture
from pages.labs.glossary.pictures.frames import bars, sentence_trace, token_ids

WORDS = (" king", " queen", " man", " woman", " dog", " castle")


def embedding_rows() -> Picture:
    table = models.shipped().model.embedding.weight.detach()[token_ids(WORDS), :24].tolist()
    return grids.heatmap(
        table,
        rows=[word.strip() for word in WORDS],
        columns=[str(n) for n in range(1, 25)],
        highest=None,
        signed=True,
        what="value",
        row_title="token",
        column_title="first 24 components",
    )


def cosines() -> Picture:
    table = models.shipped().model.embedding.weight.detach()[token_ids(WORDS)]
    names = [word.strip() for word in WORDS]
    return grids.matrix(between(table, table).tolist(), rows=names, columns=names, name="cosine")


def tying() -> Picture:
    shapes = {"tiny": PRESETS["tiny"].model, "small": PRESETS["small"].model}
    shapes |= {name: PUBLISHED[name].config for name in ("Llama 3.2 1B", "LLaMA 2 7B", "LLaMA 3 8B")}
    return bars(
        list(shapes),
        [100 * tying_saves(shape) for shape in shapes.values()],
        "% of parameters saved by tying",
        ".1f",
    )


def residual_stream() -> Picture:
    updates = residual_updates(dict(sentence_trace().seen), models.shipped().config)
    return bars(
        [update.name for update in updates],
        [update.size for update in updates],
        "norm of the update",
        ".2f",
    )


def best_logits() -> Picture:
    tokenizer = models.shipped().tokenizer
    best = sentence_trace().seen["logits"][0, -1].topk(6)
    names = [chips.visible(tokenizer.token_text(i)) for i in best.indices.tolist()]
    return bars(names, best.values.tolist(), "logit", ".1f")
