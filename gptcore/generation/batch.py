"""Many texts at once: one pass of the model gives every one of them its next token.

A pass reads all weights whether it serves one text or eight, so on most machines eight texts cost much less than
eight times one. Prompts may differ in length, and a text that ends leaves the batch.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from gptcore.generation.fast_model import FastModel
from gptcore.generation.sampling import Sampling, check_prompt, distribution, draw_at, pick_token, seeded
from gptcore.model import GPT


@torch.inference_mode()
def generate_batch(
    model: GPT,
    ids: Tensor | Sequence[Sequence[int]],
    max_new_tokens: int,
    sampling: Sampling,
    *,
    seed: int = 0,
    stop_id: int | None = None,
    give_up: Callable[[], bool] = lambda: False,
) -> list[list[int]] | None:
    """Continue each prompt, a tensor (B, T) or rows of ids of any lengths; return each row's new tokens.

    A row ends before its stop token, at the context, or after `max_new_tokens`. Row i, counted from 0, is what
    `generate` writes alone with the seed `seed + i`; where sums in another order round differently, a token that is
    nearly as likely can take its place. `give_up` is asked before each token; once it is true the result is None.
    Raises ValueError as `generate` does. For one text as it grows: `generate`.
    """
    prompts = [torch.as_tensor(row, dtype=torch.int64).flatten().tolist() for row in ids]
    for prompt in prompts:
        check_prompt(prompt, model.config.vocab_size, model.config.context_length)
    fast, texts = FastModel(model), [_Text(prompt, seed + row) for row, prompt in enumerate(prompts)]
    together = (
        [texts] if fast.has_step else by_length(texts)
    )  # without the step, rows of one length at a time
    for group in together:
        if not _continue(fast, group, max_new_tokens, sampling, stop_id, give_up):
            return None
    return [text.ids[text.n_prompt :] for text in texts]


class _Text:
    """One text as it grows, and the random numbers it is drawn with."""

    def __init__(self, prompt: list[int], seed: int):
        self.ids, self.n_prompt, self.generator = list(prompt), len(prompt), seeded(seed)


def by_length(texts: Sequence[_Text]) -> list[list[_Text]]:
    """Return the texts in groups of equal length, each in the order they came."""
    groups = defaultdict(list)
    for text in texts:
        groups[len(text.ids)].append(text)
    return list(groups.values())


def _continue(
    model: FastModel,
    texts: list[_Text],
    max_new_tokens: int,
    sampling: Sampling,
    stop_id: int | None,
    give_up: Callable[[], bool],
) -> bool:
    """Extend each text to its end; return False if the caller gave up."""
    context = model.config.context_length
    live = [text for text in texts if max_new_tokens > 0]
    if not live:
        return True
    passes = _Passes(model, live, min(context, max(len(text.ids) for text in live) + max_new_tokens))
    logits = passes.read_prompts()  # (B, V)
    while True:
        if give_up():
            return False
        staying = []
        for row, token_id in enumerate(_pick(logits, sampling, live)):
            if token_id == stop_id:
                continue
            text = live[row]
            text.ids.append(token_id)
            if len(text.ids) - text.n_prompt < max_new_tokens and len(text.ids) <= context:
                staying.append(row)
        if not staying:
            return True
        if len(staying) < len(live):
            live = [live[row] for row in staying]
            passes.keep_rows(staying)
        logits = passes.step([text.ids[-1] for text in live])


def _pick(logits: Tensor, sampling: Sampling, texts: list[_Text]) -> list[int]:
    """Pick the next token of each text from logits (B, V), as `sampling.pick_token` does from one row."""
    seen = None
    if sampling.repetition_penalty != 1.0:
        longest = max(len(text.ids) for text in texts)
        # A token is penalized once however often it occurs, so its repetition can fill a short row.
        rows = [text.ids + text.ids[:1] * (longest - len(text.ids)) for text in texts]
        seen = torch.tensor(rows, device=logits.device)
    if sampling.is_greedy:
        return pick_token(logits, sampling, texts[0].generator, seen)[:, 0].tolist()  # nothing is drawn
    uniform = torch.stack([torch.rand(1, generator=text.generator, dtype=torch.float64) for text in texts])
    return draw_at(distribution(logits, sampling, seen), uniform)[:, 0].tolist()


class _Passes:
    """The passes of the model over a batch, with one cache for all rows.

    `lengths` (B,) is the number of cached positions of each row, None while all rows have the length of the cache.
    """

    def __init__(self, model: FastModel, texts: list[_Text], capacity: int):
        self.model, self.texts = model, texts
        self.cache = model.new_cache(len(texts), capacity)
        lengths = [len(text.ids) for text in texts]
        self.lengths = torch.tensor(lengths, device=model.device) if len(set(lengths)) > 1 else None

    def read_prompts(self) -> Tensor:
        """Read every prompt, those of one length in one pass, and return the logits (B, V) of what follows."""
        if self.lengths is None:
            prompts = torch.tensor([text.ids for text in self.texts], device=self.model.device)
            return self.model.next_logits(prompts, self.cache)
        self.cache.clear()  # what a mask leaves out is still multiplied, by 0
        row_of = {text: row for row, text in enumerate(self.texts)}
        logits = [None] * len(self.texts)
        for group in by_length(self.texts):
            apart = _Passes(self.model, group, len(group[0].ids))
            for text, row_logits in zip(group, apart.read_prompts()):
                logits[row_of[text]] = row_logits
            self.cache.copy_rows([row_of[text] for text in group], apart.cache)
        return torch.stack(logits)

    def step(self, token_ids: list[int]) -> Tensor:
        """Read one more token of each row and return the logits (B, V) of what follows."""
        ids = torch.tensor(token_ids, device=self.model.device).unsqueeze(1)
        logits = self.model.next_logits(ids, self.cache, self.lengths)
        if self.lengths is not None:
            self.lengths += 1
        return logits

    def keep_rows(self, rows: list[int]) -> None:
        """Let all other rows go."""
        kept = torch.tensor(rows, device=self.model.device)
        self.cache.take(kept)
        if self.lengths is not None:
            self.lengths = self.lengths[kept]
            self.cache.keep(int(self.lengths.max()))
