"""Text to numbers and back, by the package `tokenizers`: from a file, or made here."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from . import chat
from .files import folder_tokenizer, gguf_tokenizer, read_gguf

__all__ = ["Tokenizer", "read_gguf"]

END, PAD = "<|end|>", "<|pad|>"


class Tokenizer:
    """Ids of a text and text of ids.

    eos: id that ends an answer. pad: id that fills up a batch; where the two are the same, masks
    and not the id decide what is padding. bos: id that begins a text, or None; `add_bos` says
    whether the model was trained with it (a chat template puts it there by itself).
    special: the special tokens as text, by the names that chat templates have for them
    ("bos_token", "eos_token" ...).
    """

    def __init__(
        self,
        tokens: Any,
        eos: int,
        pad: int,
        template: str | None = None,
        *,
        special: Mapping[str, str] | None = None,
        add_bos: bool = False,
    ) -> None:
        self.tokens, self.eos, self.pad, self.template = tokens, eos, pad, template
        names = {"eos_token": tokens.id_to_token(eos), "pad_token": tokens.id_to_token(pad)}
        self.special = dict(names if special is None else special)
        bos = self.special.get("bos_token")
        self.bos: int | None = None if bos is None else tokens.token_to_id(bos)
        self.add_bos, self._refuse_unknown = add_bos, False

    @classmethod
    def from_gguf(cls, path: str | Path) -> "Tokenizer":
        """The tokenizer inside a GGUF file: its vocabulary, merges, special tokens, chat template.

        Where the file names no padding token, pad is eos. Raises ValueError for a kind of tokenizer
        that is not GPT-2's, SmolLM's, Qwen2's or Llama 3's, and for a file that lacks a part of it.
        """
        return cls._from_parts(path, *gguf_tokenizer(path))

    @classmethod
    def from_folder(cls, folder: str | Path) -> "Tokenizer":
        """The tokenizer of a Hub folder: tokenizer.json, of any kind, and tokenizer_config.json.

        Where it names no padding token, pad is eos. Raises FileNotFoundError without a
        tokenizer.json, ValueError if no eos_token is named.
        """
        return cls._from_parts(folder, *folder_tokenizer(folder))

    @classmethod
    def _from_parts(
        cls, path: str | Path, tokens: Any, special: dict[str, str], settings: dict[str, Any]
    ) -> "Tokenizer":
        if "eos_token" not in special:
            raise ValueError(f"{path} names no eos_token: no answer would ever end")
        for role, word in special.items():
            if tokens.token_to_id(word) is None:
                raise ValueError(f"{path}: {role} is {word!r}, which is not in the vocabulary")
        eos = tokens.token_to_id(special["eos_token"])
        pad = tokens.token_to_id(special.get("pad_token", special["eos_token"]))
        return cls(tokens, eos, pad, special=special, **settings)

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
        made = cls(tokens, eos=1, pad=0)
        made._refuse_unknown = True
        return made

    @property
    def vocab_size(self) -> int:
        """Number of ids."""
        return self.tokens.get_vocab_size()

    def encode(self, text: str, special: bool = True, bos: bool = False) -> list[int]:
        """Ids of a text; nothing is put before or behind it, unless `bos` puts that before it.

        special: "<|im_end|>" in the text becomes the control token of that name. For text that
        strangers wrote, special=False spells out that and everything else that is matched whole.

        Raises ValueError for half a surrogate pair, which stands for no character, and for bos=True
        where the tokenizer has none.
        """
        if bos and self.bos is None:
            raise ValueError("this tokenizer has no bos token to begin with")
        try:
            ids = self._encoded(text) if special else self._spelled(text)
        except (TypeError, UnicodeError) as error:  # all that is said of a text that is no Unicode
            raise ValueError(f"no text that can be encoded: {text!r:.200}") from error
        if self._refuse_unknown and self.pad in ids:
            strange = sorted({c for c in text if self.tokens.token_to_id(c) is None})
            raise ValueError(f"no id for {strange}: not in this tokenizer's alphabet")
        return [self.bos, *ids] if bos and self.bos is not None else ids

    def decode(self, ids: Sequence[int], special: bool = False) -> str:
        """Text of ids; special tokens are left out unless `special`.

        Raises ValueError for an id that is no token.
        """
        numbers = list(map(int, ids))
        for i in numbers:
            if i < 0 or self.tokens.id_to_token(i) is None:
                raise ValueError(f"the id {i} is no token: there are {self.vocab_size}")
        return self.tokens.decode(numbers, skip_special_tokens=not special)

    def chat(
        self,
        messages: Sequence[Mapping[str, Any]],
        add_generation_prompt: bool = True,
        **variables: Any,
    ) -> str:
        """A conversation as the text the model was trained on, by the template in its file.

        messages: [{"role": "user", "content": ...}, ...]. add_generation_prompt: end where the
        assistant begins. variables: what this template asks for besides (tools, documents,
        enable_thinking, date_string ...).

        The text does not show who wrote a "<|im_end|>" in it: for messages by strangers there is
        `chat_ids`. Raises ValueError if this tokenizer has no template, or it refuses the messages.
        """
        if self.template is None:
            raise ValueError("this tokenizer has no chat template: write the prompt yourself")
        given = {"tools": None, "documents": None, **self.special, **variables}
        given["add_generation_prompt"] = add_generation_prompt
        return chat.render(self.template, messages, **given)

    def chat_ids(
        self,
        messages: Sequence[Mapping[str, Any]],
        add_generation_prompt: bool = True,
        **variables: Any,
    ) -> list[int]:
        """The ids of `chat`, in which only the template writes control tokens.

        Where messages and variables hold none, the same as encode(chat(...)). Where one does, such
        as a user's "<|im_end|>", it is spelled out as ordinary text, and cannot end the turn.
        Tokens that are no control tokens, such as "<think>", are read wherever they stand.

        Raises ValueError as `chat`, and for a template that makes another text of marked messages.
        """
        text = self.chat(messages, add_generation_prompt, **variables)
        added = self.tokens.get_added_tokens_decoder().values()
        control = [token.content for token in added if token.special]
        given = [list(messages), variables]
        copy = chat.marked(given, control)
        if copy == given:
            return self._encoded(text)
        found = self.chat(copy[0], add_generation_prompt, **copy[1])
        if chat.without_marks(found) != text:
            raise ValueError(
                "the template changes texts with control tokens: who wrote them is lost"
            )
        return chat.encode_marked(found, control, self._encoded, self._spelled)

    def _encoded(self, text: str) -> list[int]:
        return self.tokens.encode(text, add_special_tokens=False).ids

    def _spelled(self, text: str) -> list[int]:
        """Ids of a text in which no token counts as a whole, special or not."""
        if self.tokens.normalizer is not None:
            text = self.tokens.normalizer.normalize_str(text)
        cut = self.tokens.pre_tokenizer
        parts = [text] if cut is None else [part for part, _ in cut.pre_tokenize_str(text)]
        return [token.id for part in parts for token in self.tokens.model.tokenize(part)]
