"""Writing a tokenizer into a GGUF file, with llama.cpp's name for the way it cuts text.

llama.cpp knows each published way by a name and no other. What it has no name for is refused, since it would read
every text differently.
"""

import gguf

from gptcore.bpe import GPT2_PATTERN, TokenizerError, shortened
from gptcore.formats.byte_spelling import bytes_to_unicode
from gptcore.formats.gguf_tokenizer import PATTERNS, WHOLE_TOKENS
from gptcore.formats.imported_tokenizer import ImportedTokenizer
from gptcore.tokenizer import Tokenizer

_NORMAL, _UNKNOWN, _CONTROL = gguf.TokenType.NORMAL, gguf.TokenType.UNKNOWN, gguf.TokenType.CONTROL
_NFC = [{"type": "NFC"}]
_MARKS = {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}
_PREFIX = {"type": "Prepend", "prepend": "▁"}


def write_tokenizer(writer: gguf.GGUFWriter, tokenizer: Tokenizer, vocab_size: int) -> None:
    """Add a tokenizer to the metadata, padded to the model's vocabulary.

    Raises TokenizerError, naming it, for what llama.cpp's tokenizers do not do.
    """
    if isinstance(tokenizer, ImportedTokenizer):
        texts, types = _imported_tokens(tokenizer, vocab_size)
        byte_level = tokenizer.is_byte_level
    else:
        texts, types = _own_tokens(tokenizer, vocab_size)
        byte_level = True
    if tokenizer.chat_template:
        writer.add_chat_template(tokenizer.chat_template)
    writer.add_token_list(texts)
    writer.add_token_types([int(kind) for kind in types])
    if byte_level:
        writer.add_tokenizer_model("gpt2")
        writer.add_tokenizer_pre(_name_of_cuts(tokenizer))
        writer.add_token_merges([f"{texts[merge.left]} {texts[merge.right]}" for merge in tokenizer.merges])
    else:
        writer.add_tokenizer_model("llama")
        writer.add_tokenizer_pre("default")
        writer.add_add_space_prefix(_starts_with_space(tokenizer))
        writer.add_token_scores(_scores(tokenizer, vocab_size))
    writer.add_bos_token_id((tokenizer.start_ids or tokenizer.stop_ids)[0])
    writer.add_add_bos_token(bool(tokenizer.start_ids))
    writer.add_eos_token_id(tokenizer.eot_id)
    if len(tokenizer.stop_ids) > 1:
        writer.add_eot_token_id(tokenizer.stop_ids[1])
    if _UNKNOWN in types:
        writer.add_unk_token_id(types.index(_UNKNOWN))


def _padding(vocab_size: int) -> tuple[list[str], list[gguf.TokenType]]:
    """Return a text and a type for each id of the model: those of an id that has no token."""
    return [f"[PAD{i}]" for i in range(vocab_size)], [gguf.TokenType.UNUSED] * vocab_size


def _own_tokens(tokenizer: Tokenizer, vocab_size: int) -> tuple[list[str], list[gguf.TokenType]]:
    texts, types = _padding(vocab_size)
    for token, token_id in tokenizer.ranks.items():
        texts[token_id], types[token_id] = bytes_to_unicode(token), _NORMAL
    for text, token_id in tokenizer.special_tokens.items():
        texts[token_id], types[token_id] = text, _CONTROL
    return texts, types


def _imported_tokens(tokenizer: ImportedTokenizer, vocab_size: int) -> tuple[list[str], list[gguf.TokenType]]:
    texts, types = _padding(vocab_size)
    model = tokenizer.content["model"]
    byte_tokens = {f"<0x{byte:02X}>" for byte in range(256)} if model.get("byte_fallback") else ()
    for text, token_id in model["vocab"].items():
        texts[token_id], types[token_id] = text, gguf.TokenType.BYTE if text in byte_tokens else _NORMAL
    for token in tokenizer.content.get("added_tokens") or ():
        kind = _CONTROL if token.get("special") else gguf.TokenType.USER_DEFINED
        texts[token["id"]] = token["content"]
        types[token["id"]] = _UNKNOWN if token["content"] == model.get("unk_token") else kind
    return texts, types


def _name_of_cuts(tokenizer: Tokenizer) -> str:
    """Return llama.cpp's name of the way a byte-level tokenizer cuts text; raises TokenizerError if it has none."""
    whole, normalizers = False, []
    if isinstance(tokenizer, ImportedTokenizer):
        whole = bool(tokenizer.content["model"].get("ignore_merges"))
        normalizers = tokenizer.normalizer_parts
    for name, patterns in PATTERNS.items():
        same = tokenizer.pattern == "|".join(patterns) and whole == (name == WHOLE_TOKENS)
        if same and normalizers == (_NFC if name == "qwen2" and normalizers else []):
            return name
    raise TokenizerError(
        f"llama.cpp has no name for the way this tokenizer cuts text, {shortened(tokenizer.pattern)}: use one with "
        f"GPT-2's pattern, {shortened(GPT2_PATTERN)}, or export --to hf."
    )


def _starts_with_space(tokenizer: ImportedTokenizer) -> bool:
    """Return whether a SentencePiece tokenizer puts a space before a text; raises TokenizerError for other ways."""
    cuts = tokenizer.content.get("pre_tokenizer")
    metaspace = cuts is not None and cuts["type"] == "Metaspace" and not cuts.get("split", True)
    if metaspace and not tokenizer.normalizer_parts and cuts.get("prepend_scheme", "always") != "never":
        return True
    if tokenizer.normalizer_parts == [_PREFIX, _MARKS] and cuts is None:
        return True
    splits_nothing = cuts is None or (cuts["type"] == "Split" and cuts["pattern"] == {"String": " "})
    if tokenizer.normalizer_parts == [_MARKS] and splits_nothing:
        return False
    raise TokenizerError(
        "llama.cpp does not prepare text as this SentencePiece tokenizer does: export --to hf."
    )


def _scores(tokenizer: ImportedTokenizer, vocab_size: int) -> list[float]:
    """Return a score for each id that orders the merges: the earlier a token is made, the higher."""
    scores = [0.0] * vocab_size
    for rank, merge in reversed(list(enumerate(tokenizer.merges))):
        scores[merge.id] = -float(rank + 1)
    return scores
