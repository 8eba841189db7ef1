"""`tokenize`: split a text into tokens."""

import argparse
import json

from gptcore.formats import load_tokenizer


def run(options: argparse.Namespace) -> None:
    tokenizer = load_tokenizer(options.tokenizer)
    ids = tokenizer.encode(options.text)
    tokens = [tokenizer.token_text(i) for i in ids]
    if options.json:
        print(json.dumps({"token_ids": ids, "tokens": tokens}, ensure_ascii=False))
    else:
        print(" ".join(f"{token!r}:{i}" for token, i in zip(tokens, ids)))
