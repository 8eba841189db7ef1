"""`sample`: continue a text with a trained model."""

import argparse
import json
from collections.abc import Generator, Iterable
from typing import Any

from gptcore.cache import KVCache
from gptcore.checkpoint import SHIPPED
from gptcore.commands.counts import check_count
from gptcore.formats import load_with_tokenizer
from gptcore.generation.quantized import QuantizedGPT
from gptcore.generation.sampling import Step, generate
from gptcore.model import GPT
from gptcore.tokenizer import Tokenizer
from gptcore.training import plugins


def run(options: argparse.Namespace) -> None:
    if options.plugin:
        plugins.load(options.plugin)
    check_count("max-new-tokens", options.max_new_tokens)
    model, tokenizer = load_with_tokenizer(options.dir or SHIPPED)
    if options.quantize:
        model = QuantizedGPT(model, options.quantize)
    prompt_ids = tokenizer.encode_prompt(options.prompt)
    steps = generate(
        model,
        prompt_ids,
        options.max_new_tokens,
        temperature=options.temperature,
        top_k=options.top_k,
        top_p=options.top_p,
        min_p=options.min_p,
        repetition_penalty=options.repetition_penalty,
        use_cache=not options.no_cache,
        seed=options.seed,
        stop_ids=tokenizer.stop_ids,
        n_alternatives=0,
        past_context=options.past_context,
    )
    if options.json:
        print(json.dumps(_sample_result(options, model, tokenizer, prompt_ids, steps), ensure_ascii=False))
    else:
        _stream(options.prompt, tokenizer, steps)


def _stream(prompt: str, tokenizer: Tokenizer, steps: Iterable[Step]) -> None:
    """Print a text as it is generated; a character whose bytes are not all there yet waits."""
    ids: list[int] = []
    n_shown = 0
    for step in steps:
        ids.append(step.token_id)
        text = prompt + tokenizer.decode(ids, continues=bool(prompt))
        if not text.endswith("\ufffd"):
            print(text[n_shown:], end="", flush=True)
            n_shown = len(text)
    print((prompt + tokenizer.decode(ids, continues=bool(prompt)))[n_shown:])


def _sample_result(
    options: argparse.Namespace,
    model: GPT,
    tokenizer: Tokenizer,
    prompt_ids: list[int],
    steps: Generator[Step, None, str],
) -> dict[str, Any]:
    """Generate, and return the ids, the text, and what it took."""
    taken = []
    while True:
        try:
            taken.append(next(steps))
        except StopIteration as ended:
            stop = ended.value
            break
    new, seconds = [step.token_id for step in taken], [step.seconds for step in taken]
    cache = None
    if not options.no_cache:
        cache = KVCache(model.config, capacity=len(prompt_ids) + options.max_new_tokens)
        unread = 0 if stop == "stop" else 1  # the last token was chosen, and never went through the model
        cache.advance(min(len(prompt_ids) + len(new) - unread, cache.capacity))
    decoding = sum(seconds[1:])
    return {
        "prompt_ids": prompt_ids,
        "token_ids": new,
        "text": options.prompt + tokenizer.decode(new, continues=bool(options.prompt)),
        "stop": stop,
        "tokens_per_second": (len(new) - 1) / decoding if decoding else None,
        "prefill_seconds": seconds[0] if seconds else None,
        "cache_bytes": cache.n_bytes if cache else 0,
        "cache_bytes_used": cache.n_bytes_used if cache else 0,
        "context_length": model.config.context_length,
    }
