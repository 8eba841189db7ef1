"""`eval`: measure how well a model predicts a text."""

import argparse
import json
import sys

from gptcore.corpora import load_corpus
from gptcore.formats import load_with_tokenizer
from gptcore.training import plugins
from gptcore.training.devices import pick_device
from gptcore.training.text_loss import measure_text_loss


def run(options: argparse.Namespace) -> None:
    if options.plugin:
        plugins.load(options.plugin)
    model, tokenizer = load_with_tokenizer(options.dir)
    corpus = load_corpus(options.data, text_field=options.text_field)
    for note in corpus.notes:
        print(note, file=sys.stderr)
    is_generated = corpus.entropy is not None  # training may have seen all the rest
    documents = corpus.validation if is_generated else corpus.documents
    result = measure_text_loss(model.to(pick_device()), tokenizer, documents, stride=options.stride)
    if options.json:
        values = {"loss": result.loss, "perplexity": result.perplexity, "bits_per_byte": result.bits_per_byte}
        counts = {"tokens": result.n_tokens, "bytes": result.n_bytes, "documents": result.n_documents}
        print(json.dumps(values | counts))
        return
    print(f"loss           {result.loss:.4f} nats per token")
    print(f"perplexity     {result.perplexity:,.2f}")
    print(f"bits per byte  {result.bits_per_byte:.4f}")
    noun = "document" if result.n_documents == 1 else "documents"
    print(f"on {result.n_tokens:,} tokens, {result.n_bytes:,} bytes, {result.n_documents:,} {noun}")
