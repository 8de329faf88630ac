"""What the lessons' scripts share: their arguments, and results that a killed run goes on with."""

import argparse
import json
import platform
import tempfile
from pathlib import Path
from typing import Any

import torch

import tinykd
from tinykd.files import atomic

FULL = tinykd.scale() == "full"
STORED = Path(__file__).resolve().parents[1] / "datasets" / "results"


def arguments(doc: str, seeds: list[int]) -> argparse.ArgumentParser:
    """--out and --seeds; `seeds` are those of the full scale, a smoke run has seed 0."""
    parser = argparse.ArgumentParser(description=doc.splitlines()[0])
    parser.add_argument("--out", type=Path, default=None, help="datasets/results at full scale")
    parser.add_argument("--seeds", type=int, nargs="*", default=seeds if FULL else [0])
    return parser


class Records:
    """The results in FOLDER/NAME.json: `found`, as they are there, or empty.

    out: the folder; None is datasets/results at full scale, else a temporary one. more: what else
    the file holds, empty. Torch is set to one thread, as for every run that is compared. Exits, in
    words, where the file was made with other settings.
    """

    def __init__(self, name: str, out: Path | None, settings: dict[str, Any], **more: Any) -> None:
        self.folder = out or (STORED if FULL else Path(tempfile.mkdtemp()))
        self.folder.mkdir(parents=True, exist_ok=True)
        self.file = self.folder / f"{name}.json"
        versions = {"torch": torch.__version__, "python": platform.python_version()}
        self.found: dict[str, Any] = {"settings": settings, "versions": versions, "runs": []} | more
        if self.file.exists():
            self.found |= json.loads(self.file.read_text())
            if self.found["settings"] != settings:
                raise SystemExit(
                    f"{self.file} was made with other settings: {self.found['settings']}"
                )
        torch.set_num_threads(1)

    def keep(self) -> None:
        """Write the file, whole or not at all."""
        with atomic(self.file) as part:
            part.write_text(json.dumps(self.found, indent=1) + "\n")
