"""The rated sentences: their file, where it is looked for, what is said when it is not there."""

import gzip
import hashlib
import importlib.util
import shutil
from pathlib import Path

import pytest
import torch

import tinykd.data.sentences
from tinykd.data.sentences import (
    NAME,
    SHA256,
    SentenceBatches,
    load_sentences,
    sentences_file,
    three_classes,
)

ROOT = Path(__file__).resolve().parents[1]
STORED = ROOT / "datasets" / "sentences" / NAME


@pytest.fixture(scope="module")
def splits():
    return {split: load_sentences(split) for split in tinykd.data.sentences.SPLITS}


def test_stored_bytes_are_the_ones_described():
    packed = STORED.read_bytes()
    assert hashlib.sha256(gzip.decompress(packed)).hexdigest() == SHA256
    assert packed[3:8] == bytes(5), "no name and no time: made again, the file must not change"
    assert len(packed) < 1_500_000
    assert SHA256 in (ROOT / "datasets" / "README.md").read_text(encoding="utf-8")


def test_sizes_types_and_known_values(splits):
    assert [len(texts) for texts, _, _ in splits.values()] == [18725, 2277, 2413]
    for texts, ratings, sources in splits.values():
        assert ratings.shape == (len(texts), 9)
        assert ratings.dtype == torch.float32
        assert len(sources) == len(texts)
        assert set(sources) == {"tweet", "film", "product", "editorial"}
        assert ratings.sum(1).min() >= 15
        assert (ratings == ratings.round()).all()
        assert ratings.min() == 0
    texts, ratings, _ = splits["train"]
    found = texts.index("excellent way to carry your music collection!")
    assert ratings[found].tolist() == [0, 0, 0, 0, 0, 1, 6, 13, 0]


def test_three_classes_are_shares_in_this_order(splits):
    ratings = torch.tensor([[1.0, 2, 3, 4, 5, 1, 1, 1, 2], [0, 0, 0, 0, 0, 0, 6, 13, 1]])
    assert three_classes(ratings).tolist() == [[0.5, 0.25, 0.25], [0, 0, 1]]
    shares = three_classes(splits["train"][1])
    torch.testing.assert_close(shares.sum(1), torch.ones(18725))
    assert (shares.argmax(1).bincount() / 18725).tolist() == pytest.approx(
        [0.40, 0.16, 0.44], abs=0.02
    )


def test_texts_are_clean_and_none_is_in_two_splits(splits):
    every = [text for texts, _, _ in splits.values() for text in texts]
    assert len({text.casefold() for text in every}) == len(every)
    for text in every:
        assert text == " ".join(text.split()) != ""
        assert not {"&amp;", "&quot;", "&lt;", "\ufffd", "\ufeff"} & set(text.split())
        assert "&amp;" not in text


def test_documents_stay_on_one_side():
    lines = gzip.decompress(STORED.read_bytes()).decode().splitlines()
    sides: dict[str, set[str]] = {}
    for split, _, document, _, _ in (line.split("\t") for line in lines):
        sides.setdefault(document, set()).add(split)
    assert len(sides) > 15_000
    assert all(len(one) == 1 for one in sides.values())


def test_the_script_repairs_text_and_sorts_documents_as_it_says():
    path = ROOT / "datasets" / "sentences" / "make_sentences.py"
    spec = importlib.util.spec_from_file_location("make_sentences", path)
    make = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(make)
    assert (
        make.repaired(" Health &amp;amp; Human\xa0 Services &lt;3 ") == "Health & Human Services <3"
    )
    rated = [["1", "0", "0", "[-4, 4, 4]"], ["2", "0", "0", "[0, 1, 2]"], ["3_1", "0", "0", "[2]"]]
    kinds = ("GroundTruth", "anonDataRatings")
    found = {f"{stem}_{kind}": [] for stem in make.SOURCES.values() for kind in kinds}
    found["tweets_anonDataRatings"] = rated
    found["tweets_GroundTruth"] = [
        ["1", "1.3333333", "So &amp; so"],
        ["2", "-2", "ratings of another wording"],
        ["3_1", "2", "SO &amp; SO"],
    ]
    sentences, notes = make.rows(found)
    assert [row[4:] for row in sentences] == [([1, 0, 0, 0, 0, 0, 1, 0, 2], "So & so")]
    assert sum(notes.values()) == 3
    shares = [make.place(f"film-{n}")[1] for n in range(1000)]
    assert 750 < shares.count("train") < 850


def test_looks_where_it_is_told(tmp_path, monkeypatch):
    monkeypatch.delenv("TINYKD_DATA", raising=False)
    assert sentences_file() == STORED
    (tmp_path / "sentences").mkdir()
    copy = Path(shutil.copy(STORED, tmp_path / "sentences"))
    assert sentences_file(tmp_path) == copy
    monkeypatch.setenv("TINYKD_DATA", str(tmp_path))
    assert sentences_file() == copy
    monkeypatch.setenv("TINYKD_DATA", str(tmp_path / "elsewhere"))
    assert sentences_file() == STORED


def test_a_missing_file_says_where_and_what_to_do(tmp_path):
    with pytest.raises(FileNotFoundError) as error:
        load_sentences(folder=tmp_path)
    words = str(error.value)
    assert str(tmp_path / NAME) in words
    for way in ("clone", "TINYKD_DATA", "make_sentences.py"):
        assert way in words


WRONG = {
    "empty": lambda: b"",
    "no_gzip": lambda: b"no gzip",
    "another_text": lambda: gzip.compress(b"train\ttweet"),
    "cut_off": lambda: STORED.read_bytes()[:-1000],
}


@pytest.mark.parametrize("wrong", WRONG)
def test_a_corrupt_file_is_refused(tmp_path, wrong):
    packed = WRONG[wrong]()
    (tmp_path / NAME).write_bytes(packed)
    with pytest.raises(ValueError, match=rf"(?s)corrupt.*{SHA256}.*make_sentences"):
        load_sentences(folder=tmp_path)


def test_an_unknown_split_is_named():
    with pytest.raises(ValueError, match="'dev'.*held_out"):
        load_sentences("dev")


IDS = [[n + 2] * (1 + n * 7 % 11) for n in range(50)]  # sentence n holds n + 2, again and again


def test_batches_hold_every_sentence_once_behind_its_mask():
    batches = SentenceBatches(IDS, torch.arange(50), size=8)
    seen = []
    for batch in batches:
        ids, real, index = batch["input_ids"], batch["attention_mask"], batch["index"]
        assert ids.shape == real.shape
        assert real[:, -1].any(), "no wider than the longest sentence"
        assert (batch["labels"] == index).all()
        for row, mask, n in zip(ids, real, index.tolist(), strict=True):
            assert row[mask].tolist() == IDS[n]
            assert (row[~mask] == 0).all()
        seen += index.tolist()
    assert sorted(seen) == list(range(50))
    assert seen != sorted(seen)
    assert len(batches) == 7


def test_the_order_depends_on_seed_and_epoch_alone():
    def orders(batches, epochs=2):
        return [[n for batch in batches for n in batch["index"].tolist()] for _ in range(epochs)]

    first = orders(SentenceBatches(IDS, torch.arange(50), size=8))
    assert first == orders(SentenceBatches(IDS, torch.arange(50), size=8))
    assert first[0] != first[1]
    assert first != orders(SentenceBatches(IDS, torch.arange(50), size=8, seed=1))
    later = SentenceBatches(IDS, torch.arange(50), size=8)
    later.set_epoch(1)
    assert orders(later, 1) == first[1:]
    plain = SentenceBatches(IDS, torch.arange(50), size=8, shuffle=False)
    assert orders(plain, 1) == [list(range(50))]


def test_long_sentences_are_cut_and_similar_lengths_meet():
    batches = SentenceBatches(IDS * 20, torch.arange(1000), size=10, limit=6)
    assert batches.ids.shape == (1000, 6)
    padding = sum((~batch["attention_mask"]).sum().item() for batch in batches)
    assert padding < 0.05 * batches.lengths.sum()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((IDS, torch.arange(49)), "50 sentences and 49 labels"),
        (([], torch.arange(0)), "0 sentences"),
        (([[1], []], torch.arange(2)), "sentence 1 has no tokens"),
        ((IDS, torch.arange(50), 0), "size is 0"),
    ],
)
def test_batches_say_what_is_wrong(arguments, words):
    with pytest.raises(ValueError, match=words):
        SentenceBatches(*arguments)
