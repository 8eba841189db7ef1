"""Who uses what, and who introduced it: the parts of published models and the papers behind the parts.

Everything here was read in the papers and configs named as the source. Models whose shapes are in
`gptcore.lessons.published_models` are described from their configs; the others by hand.
"""

from dataclasses import dataclass
from itertools import starmap

from gptcore.account import parameters
from gptcore.config import ModelConfig
from gptcore.lessons.published_models import PUBLISHED

NORM_NAMES = {"rmsnorm": "RMSNorm", "layernorm": "LayerNorm", "none": "none"}
NORM_POSITION_NAMES = {
    "pre": "pre-norm",
    "post": "post-norm",
    "branch": "on the output",
    "pre+branch": "on input and output",
}
FFN_NAMES = {"swiglu": "SwiGLU", "geglu": "GeGLU", "gelu": "GELU", "relu": "ReLU"}
BIAS_NAMES = {
    "none": "none",
    "qkv": "on queries, keys, values",
    "attention": "in attention",
    "mlp": "in feed-forward layers",
    "all": "everywhere",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Architecture:
    """The components of one model; `year` is that of its paper or release."""

    year: int
    norm: str
    norm_position: str
    feedforward: str
    positions: str
    attention: str
    bias: str
    tied: bool
    source: str


def architecture_of(config: ModelConfig, year: int, source: str) -> Architecture:
    """Return the components that one of our configs describes."""
    if config.n_kv_heads == config.n_heads:
        heads = f"{config.n_heads} heads"
    else:
        heads = f"{config.n_heads} heads, {config.n_kv_heads} key/value heads"
    window = f", window {config.window:,}" if config.window else ""
    base = f", base {config.rope_theta:,.0f}" if config.position == "rope" else ""
    return Architecture(
        year=year,
        norm=NORM_NAMES[config.norm],
        norm_position=NORM_POSITION_NAMES[config.norm_position],
        feedforward=FFN_NAMES[config.ffn],
        positions=("RoPE" if config.position == "rope" else config.position) + base,
        attention=heads + window,
        bias=BIAS_NAMES[config.bias],
        tied=config.tie_embeddings,
        source=source,
    )


_YEARS = {
    "GPT-2 small": 2019,
    "LLaMA 2 7B": 2023,
    "Mistral 7B": 2023,
    "LLaMA 3 8B": 2024,
    "Qwen 2.5 7B": 2024,
    "Llama 3.2 1B": 2024,
}
_BY_HAND = {
    "Transformer (base)": Architecture(
        year=2017, norm="LayerNorm", norm_position="post-norm", feedforward="ReLU", positions="sinusoidal",
        attention="8 heads; encoder and decoder", bias="in the feed-forward layers", tied=True,
        source="Vaswani et al. 2017, sections 3.1 to 3.5",
    ),
    "BERT large": Architecture(
        year=2018, norm="LayerNorm", norm_position="post-norm", feedforward="GELU", positions="learned",
        attention="16 heads, no causal mask", bias="everywhere", tied=True,
        source="Devlin et al. 2018, section 3; modeling_bert.py of transformers",
    ),
    "PaLM 540B": Architecture(
        year=2022, norm="LayerNorm", norm_position="pre-norm", feedforward="SwiGLU", positions="RoPE",
        attention="48 heads, 1 key/value head", bias="none", tied=True,
        source="Chowdhery et al. 2022, section 2",
    ),
    "Gemma 2 9B": Architecture(
        year=2024, norm="RMSNorm", norm_position="on input and output", feedforward="GeGLU",
        positions="RoPE, base 10,000", attention="16 heads, 8 key/value heads, every other layer window 4,096",
        bias="none", tied=True, source="Gemma team 2024, table 1; Gemma2Config of transformers",
    ),
    "OLMo 2 7B": Architecture(
        year=2024, norm="RMSNorm", norm_position="on the output", feedforward="SwiGLU",
        positions="RoPE, base 500,000", attention="32 heads, norm on queries and keys", bias="none", tied=False,
        source="OLMo team 2024, section 2; modeling_olmo2.py of transformers",
    ),
    "Qwen 3 8B": Architecture(
        year=2025, norm="RMSNorm", norm_position="pre-norm", feedforward="SwiGLU", positions="RoPE, base 1,000,000",
        attention="32 heads, 8 key/value heads, norm on queries and keys", bias="none", tied=False,
        source="Qwen team 2025, table 1; config.json of Qwen/Qwen3-8B",
    ),
}  # fmt: skip


def architectures() -> dict[str, Architecture]:
    """Return the components of each model known here, the oldest first."""
    ours = {
        name: architecture_of(PUBLISHED[name].config, year, PUBLISHED[name].source)
        for name, year in _YEARS.items()
    }
    return dict(sorted((ours | _BY_HAND).items(), key=lambda pair: pair[1].year))


@dataclass(frozen=True, slots=True)
class Origin:
    """Where an idea comes from: the authors, the year and a short title. `chapter` is the chapter that explains it."""

    idea: str
    who: str
    year: int
    title: str
    chapter: int


ORIGINS: tuple[Origin, ...] = tuple(starmap(Origin, (
    ("entropy", "Shannon", 1948, "A Mathematical Theory of Communication", 8),
    ("backpropagation", "Linnainmaa; Rumelhart et al.", 1970, "A thesis on rounding errors; for networks (1986)", 8),
    ("byte-pair encoding, as compression", "Gage", 1994, "A New Algorithm for Data Compression", 2),
    ("gradient clipping", "Pascanu, Mikolov, Bengio", 2012, "On the difficulty of training RNNs", 8),
    ("attention", "Bahdanau, Cho, Bengio", 2014, "Neural Machine Translation by Jointly Learning to Align", 5),
    ("Adam", "Kingma, Ba", 2014, "Adam: A Method for Stochastic Optimization", 8),
    ("residual connections", "He, Zhang, Ren, Sun", 2015, "Deep Residual Learning for Image Recognition", 6),
    ("BPE for subwords", "Sennrich, Haddow, Birch", 2015, "Neural Machine Translation of Rare Words", 2),
    ("LayerNorm", "Ba, Kiros, Hinton", 2016, "Layer Normalization", 6),
    ("GELU", "Hendrycks, Gimpel", 2016, "Gaussian Error Linear Units", 6),
    ("weight tying", "Press, Wolf; Inan, Khosravi, Socher", 2016, "Using the Output Embedding; Tying Word Vectors", 7),
    ("cosine schedule", "Loshchilov, Hutter", 2016, "SGDR: Stochastic Gradient Descent with Warm Restarts", 8),
    ("the Transformer", "Vaswani et al.", 2017, "Attention Is All You Need", 7),
    ("AdamW", "Loshchilov, Hutter", 2017, "Decoupled Weight Decay Regularization", 8),
    ("mixture of experts, sparse", "Shazeer et al.", 2017, "Outrageously Large Neural Networks", 7),
    ("scaling laws", "Hestness et al.; Kaplan et al.", 2017, "Deep Learning Scaling is Predictable; LMs (2020)", 7),
    ("top-k sampling", "Fan, Lewis, Dauphin", 2018, "Hierarchical Neural Story Generation", 9),
    ("byte-level BPE", "Radford et al.", 2019, "Language Models are Unsupervised Multitask Learners (GPT-2)", 2),
    ("RMSNorm", "Zhang, Sennrich", 2019, "Root Mean Square Layer Normalization", 6),
    ("multi-query attention", "Shazeer", 2019, "Fast Transformer Decoding: One Write-Head is All You Need", 5),
    ("top-p (nucleus) sampling", "Holtzman et al.", 2019, "The Curious Case of Neural Text Degeneration", 9),
    ("repetition penalty", "Keskar et al.", 2019, "CTRL: A Conditional Transformer Language Model", 9),
    ("SwiGLU", "Shazeer", 2020, "GLU Variants Improve Transformer", 6),
    ("pre-norm, analyzed", "Xiong et al.", 2020, "On Layer Normalization in the Transformer Architecture", 6),
    ("logit lens", "nostalgebraist", 2020, "interpreting GPT: the logit lens", 7),
    ("RoPE", "Su et al.", 2021, "RoFormer", 4),
    ("LoRA", "Hu et al.", 2021, "LoRA: Low-Rank Adaptation of Large Language Models", 10),
    ("induction heads", "Elhage et al.; Olsson et al.", 2021, "A Mathematical Framework for Transformer Circuits", 5),
    ("instruction tuning", "Wei et al.; Ouyang et al.", 2021, "FLAN; InstructGPT (2022)", 10),
    ("FlashAttention", "Dao et al.", 2022, "FlashAttention: Fast and Memory-Efficient Exact Attention", 5),
    ("speculative decoding", "Leviathan et al.; Chen et al.", 2022, "Fast Inference from Transformers (and 2023)", 9),
    ("grouped-query attention", "Ainslie et al.", 2023, "GQA: Generalized Multi-Query Models", 5),
    ("linear position scaling", "Chen et al.", 2023, "Extending Context by Positional Interpolation", 4),
    ("NTK-aware scaling", "bloc97; Peng et al.", 2023, "a note of June 2023; YaRN", 4),
    ("DPO", "Rafailov et al.", 2023, "Direct Preference Optimization", 10),
    ("min-p sampling", "Nguyen et al.", 2024, "Turning Up the Heat: Min-p Sampling", 9),
    ("Muon", "Jordan et al.", 2024, "Muon: An optimizer for hidden layers in neural networks", 8),
)))  # fmt: skip


def feedforward_fraction(config: ModelConfig) -> float:
    """Return the fraction of a model's parameters in its feed-forward layers."""

    counts = parameters(config)
    return counts["feedforward"] / sum(counts.values())


# Fields that say of what kind a model is, not how large.
KIND = (
    "norm", "norm_position", "ffn", "position", "rope_theta", "bias", "qk_norm", "window", "tie_embeddings",
)  # fmt: skip


def differing_choices(config: ModelConfig, other: ModelConfig) -> list[str]:
    """Return the settings other than sizes in which two models differ; grouped-query attention counts as one."""
    names = [name for name in KIND if getattr(config, name) != getattr(other, name)]
    grouped = [model.n_kv_heads < model.n_heads for model in (config, other)]
    return names + ["n_kv_heads"] * (grouped[0] != grouped[1])
