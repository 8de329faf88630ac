"""Tokenizers as others write them: inside a GGUF file, or in a folder of the Hub."""

import functools
import json
from pathlib import Path
from typing import Any

# How vocabularies cut a text before they merge bytes, by GGUF's name for it. GPT-2's cut is that of
# ByteLevel; SmolLM's takes each digit off first; the others bring a pattern of their own.
QWEN2 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
LLAMA3 = QWEN2.replace(r"|\p{N}|", r"|\p{N}{1,3}|")  # digits in threes
CUTS = {"gpt-2": None, "smollm": None, "qwen2": QWEN2, "llama-bpe": LLAMA3}

CONTROL, USER_DEFINED, UNUSED = 3, 4, 5  # GGUF's types of a token


def gguf_tokenizer(path: str | Path) -> tuple[Any, dict[str, str], dict[str, Any]]:
    """Of a GGUF file: the tokenizer, its special tokens by their role, and the other settings.

    Raises ValueError for another kind of tokenizer, a part that is missing, and a special token
    whose number is no token's.
    """
    reader = read_gguf(path)

    def field(name: str, needed: bool = True) -> Any:
        entry = reader.get_field(f"tokenizer.{name}")
        if entry is None and needed:
            raise ValueError(f"{path} has no tokenizer.{name}: its tokenizer cannot be rebuilt")
        return None if entry is None else entry.contents()

    kind = field("ggml.model", False), field("ggml.pre", False)
    if kind[0] != "gpt2" or kind[1] not in CUTS:
        raise ValueError(
            f"{path} has a tokenizer of kind {kind}: read are gpt2 with {', '.join(CUTS)}"
        )
    words, types = field("ggml.tokens"), field("ggml.token_type")
    while types and types[-1] == UNUSED:  # rows that fill a model's matrix up, and no tokens
        words, types = words[:-1], types[:-1]
    tokens = _byte_level(kind[1], words, field("ggml.merges"))
    _add(tokens, [word for word, t in zip(words, types, strict=True) if t == CONTROL], True)
    _add(tokens, [word for word, t in zip(words, types, strict=True) if t == USER_DEFINED], False)

    special = {}
    for role, name in (("bos", "bos"), ("eos", "eos"), ("unk", "unknown"), ("pad", "padding")):
        number = field(f"ggml.{name}_token_id", needed=role == "eos")
        if number is not None:
            if not 0 <= number < len(words):
                raise ValueError(f"{path}: {name}_token_id is {number}, of {len(words)} tokens")
            special[f"{role}_token"] = words[number]
    add_bos = field("ggml.add_bos_token", False)
    return (
        tokens,
        special,
        {
            "template": field("chat_template", False),
            "add_bos": kind[1] == "llama-bpe" if add_bos is None else bool(add_bos),
        },
    )


def folder_tokenizer(folder: str | Path) -> tuple[Any, dict[str, str], dict[str, Any]]:
    """The same of a Hub folder: tokenizer.json, tokenizer_config.json, chat_template.jinja.

    Raises FileNotFoundError where there is no tokenizer.json.
    """
    from tokenizers import AddedToken
    from tokenizers import Tokenizer as Tokens

    folder = Path(folder)
    if not (folder / "tokenizer.json").exists():
        raise FileNotFoundError(
            f"no tokenizer.json in {folder}: AutoTokenizer.from_pretrained(...).save_pretrained("
            "folder) of the package transformers writes one"
        )
    tokens = Tokens.from_file(str(folder / "tokenizer.json"))
    tokens.no_truncation()  # what is in the file is for training, and would cut texts in silence
    tokens.no_padding()
    config = _json(folder / "special_tokens_map.json") | _json(folder / "tokenizer_config.json")
    special = {}
    for role in ("bos_token", "eos_token", "unk_token", "pad_token"):
        if config.get(role) is not None:
            special[role] = (
                config[role] if isinstance(config[role], str) else config[role]["content"]
            )
    known = {token.content for token in tokens.get_added_tokens_decoder().values()}
    for _, about in sorted(config.get("added_tokens_decoder", {}).items(), key=lambda x: int(x[0])):
        if about["content"] not in known:
            tokens.add_tokens([AddedToken(**about)])
            known.add(about["content"])
    extra = config.get("additional_special_tokens") or config.get("extra_special_tokens") or []
    extra = extra.values() if isinstance(extra, dict) else extra
    names = [*special.values(), *(x if isinstance(x, str) else x["content"] for x in extra)]
    _add(tokens, [name for name in dict.fromkeys(names) if name not in known], True)

    template: Any = config.get("chat_template")
    if isinstance(template, list):  # several by name
        template = {each["name"]: each["template"] for each in template}.get("default")
    if (folder / "chat_template.jinja").exists():
        template = (folder / "chat_template.jinja").read_text(encoding="utf-8")
    bos = tokens.token_to_id(special["bos_token"]) if "bos_token" in special else None
    add_bos = bos is not None and tokens.encode("a").ids[:1] == [bos]
    return tokens, special, {"template": template, "add_bos": add_bos}


def read_gguf(path: str | Path) -> Any:
    """A GGUF file's fields and tensors; the last one is kept, since parsing takes seconds.

    A file that has changed (in size or time) is read anew.
    """
    path = Path(path).resolve()
    about = path.stat()
    return _parsed(path, about.st_size, about.st_mtime_ns)


@functools.lru_cache(maxsize=1)
def _parsed(path: Path, size: int, time: int) -> Any:
    import gguf

    return gguf.GGUFReader(path)


def _byte_level(cut: str, words: list[str], merges: list[str]) -> Any:
    """Byte-pair encoding of bytes, spelled in GPT-2's letters."""
    from tokenizers import Regex, decoders, models, normalizers, pre_tokenizers
    from tokenizers import Tokenizer as Tokens

    pairs = [(left, right) for left, _, right in (merge.partition(" ") for merge in merges)]
    vocabulary = {word: n for n, word in enumerate(words)}
    # Llama 3 takes a piece that is a token as it is, even if merges would not lead there.
    tokens = Tokens(models.BPE(vocabulary, pairs, ignore_merges=cut == "llama-bpe"))
    if cut == "qwen2":
        tokens.normalizer = normalizers.NFC()
    pattern = CUTS[cut]
    steps: list[Any] = [pre_tokenizers.ByteLevel(False, use_regex=pattern is None)]
    if pattern is not None:
        steps.insert(0, pre_tokenizers.Split(Regex(pattern), "isolated"))
    if cut == "smollm":
        steps.insert(0, pre_tokenizers.Digits(individual_digits=True))
    tokens.pre_tokenizer = pre_tokenizers.Sequence(steps)
    tokens.decoder = decoders.ByteLevel()
    return tokens


def _add(tokens: Any, words: list[str], special: bool) -> None:
    """Make these tokens that are found whole in a text; special: and left out in decoding."""
    from tokenizers import AddedToken

    tokens.add_tokens([AddedToken(word, normalized=False, special=special) for word in words])


def _json(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
