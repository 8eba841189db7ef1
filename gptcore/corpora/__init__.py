"""Text to learn from: where it comes from, what is held out, and how it is dealt out in windows."""

from gptcore.corpora.documents import Corpus, CorpusError, text_corpus
from gptcore.corpora.encoding import bytes_per_token, encode_documents, prepare_corpus
from gptcore.corpora.sources import load_corpus
from gptcore.corpora.windows import Windows, fixed_batches, split_windows

__all__ = [
    "Corpus",
    "CorpusError",
    "Windows",
    "bytes_per_token",
    "encode_documents",
    "fixed_batches",
    "load_corpus",
    "prepare_corpus",
    "split_windows",
    "text_corpus",
]

# The names under which scripts exported by the first edition import them.
prepare, cut = prepare_corpus, split_windows
