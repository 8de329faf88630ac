"""Text to numbers and back, by the package `tokenizers`, from a GGUF file or made here."""

import functools
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

END, PAD = "<|end|>", "<|pad|>"

# How SmolLM's and GPT-2's vocabularies cut a text before they merge bytes. Byte-level splitting
# alone is GPT-2; SmolLM cuts each digit off first.
DIGITS_APART = ("smollm",)


class Tokenizer:
    """Ids of a text and text of ids.

    eos: id that ends an answer. pad: id that fills up a batch; where the two are the same, masks
    and not the id decide what is padding.
    """

    def __init__(self, tokens: Any, eos: int, pad: int, template: str | None = None) -> None:
        self.tokens, self.eos, self.pad, self.template = tokens, eos, pad, template

    @classmethod
    def from_gguf(cls, path: str | Path) -> "Tokenizer":
        """The tokenizer inside a GGUF file: its vocabulary, merges, special tokens, chat template.

        Raises ValueError for a kind of tokenizer that is not byte-level BPE as GPT-2's.
        """
        from tokenizers import AddedToken, decoders, models, pre_tokenizers
        from tokenizers import Tokenizer as Tokens

        reader = read_gguf(path)

        def field(name: str, default: Any = None) -> Any:
            entry = reader.get_field(f"tokenizer.{name}")
            return default if entry is None else entry.contents()

        kind = field("ggml.model"), field("ggml.pre")
        if kind[0] != "gpt2" or kind[1] not in (*DIGITS_APART, "gpt-2", None):
            raise ValueError(
                f"{path} has a tokenizer of kind {kind}: only gpt2 and smollm are read"
            )
        words = field("ggml.tokens")
        merges = [tuple(merge.split(" ")) for merge in field("ggml.merges")]
        tokens = Tokens(models.BPE({word: n for n, word in enumerate(words)}, merges))
        cut: list[Any] = [pre_tokenizers.ByteLevel(add_prefix_space=False)]
        if kind[1] in DIGITS_APART:
            cut.insert(0, pre_tokenizers.Digits(individual_digits=True))
        tokens.pre_tokenizer = pre_tokenizers.Sequence(cut)
        tokens.decoder = decoders.ByteLevel()
        control = [w for w, n in zip(words, field("ggml.token_type"), strict=True) if n == 3]
        tokens.add_special_tokens([AddedToken(word, normalized=False) for word in control])
        eos = int(field("ggml.eos_token_id"))
        pad = int(field("ggml.padding_token_id", eos))
        return cls(tokens, eos, pad, field("chat_template"))

    @classmethod
    def train(cls, texts: Iterable[str], vocab_size: int) -> "Tokenizer":
        """Byte-level BPE learned from `texts` (Sennrich et al. 2016, arXiv 1508.07909)."""
        from tokenizers import Tokenizer as Tokens
        from tokenizers import decoders, models, pre_tokenizers, trainers

        tokens = Tokens(models.BPE())
        tokens.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokens.decoder = decoders.ByteLevel()
        trainer = trainers.BpeTrainer(
            vocab_size=vocab_size,
            special_tokens=[PAD, END],
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        )
        tokens.train_from_iterator(texts, trainer)
        return cls(tokens, eos=1, pad=0)

    @classmethod
    def characters(cls, alphabet: str) -> "Tokenizer":
        """One id for each character of `alphabet`, after pad (0) and end (1).

        encode raises ValueError for a character that is not in it.
        """
        from tokenizers import Tokenizer as Tokens
        from tokenizers import decoders, models, pre_tokenizers

        words = [PAD, END, *dict.fromkeys(alphabet)]
        tokens = Tokens(models.WordLevel({word: n for n, word in enumerate(words)}, unk_token=PAD))
        tokens.pre_tokenizer = pre_tokenizers.Split("", "isolated")
        tokens.decoder = decoders.Fuse()
        tokens.add_special_tokens([PAD, END])
        return cls(tokens, eos=1, pad=0)

    @property
    def vocab_size(self) -> int:
        """Number of ids."""
        return self.tokens.get_vocab_size()

    def encode(self, text: str) -> list[int]:
        """Ids of a text; nothing is put before or behind it.

        Raises ValueError for half a surrogate pair, which stands for no character.
        """
        try:
            ids = self.tokens.encode(text, add_special_tokens=False).ids
        except TypeError as error:  # all that `tokenizers` says of a text that is no Unicode
            raise ValueError(f"no text that can be encoded: {text!r:.200}") from error
        if self.tokens.model.__class__.__name__ == "WordLevel" and self.pad in ids:
            strange = sorted({c for c in text if self.tokens.token_to_id(c) is None})
            raise ValueError(f"no id for {strange}: not in this tokenizer's alphabet")
        return ids

    def decode(self, ids: Sequence[int], special: bool = False) -> str:
        """Text of ids; special tokens are left out unless `special`."""
        return self.tokens.decode(list(map(int, ids)), skip_special_tokens=not special)

    def chat(
        self, messages: Sequence[Mapping[str, str]], add_generation_prompt: bool = True
    ) -> str:
        """A conversation as the text the model was trained on, by the template in its file.

        messages: [{"role": "user", "content": ...}, ...]. add_generation_prompt: end where the
        assistant begins. Raises ValueError if this tokenizer has no template.
        """
        if self.template is None:
            raise ValueError("this tokenizer has no chat template: write the prompt yourself")
        from jinja2.sandbox import ImmutableSandboxedEnvironment

        environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
        return environment.from_string(self.template).render(
            messages=messages, add_generation_prompt=add_generation_prompt
        )


@functools.lru_cache(maxsize=1)
def read_gguf(path: str | Path) -> Any:
    """A GGUF file's fields and tensors; the last one is kept, since parsing takes seconds."""
    import gguf

    return gguf.GGUFReader(path)
