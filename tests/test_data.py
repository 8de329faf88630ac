"""MNIST on disk and from a mirror that fails in every way; shifts; batches."""

import gzip
import hashlib
import math
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import torch

import tinykd.data.download
import tinykd.data.mnist
from tinykd import Batches, jitter, load_mnist, load_mnist1d
from tinykd.data.mnist import mnist_files

ROOT = Path(__file__).resolve().parents[1]
STORED = ROOT / "datasets" / "mnist"
LABELS = "t10k-labels-idx1-ubyte.gz"
IMAGES = "t10k-images-idx3-ubyte.gz"
MD5 = {  # of the original files, as torchvision's and LeCun's users have known them
    "train-images-idx3-ubyte.gz": "6bbc9ace898e44ae57da46a324031adb",
    "train-labels-idx1-ubyte.gz": "a25bea736e30d166cdddb491f175f624",
    "t10k-images-idx3-ubyte.gz": "2646ac647ad5339dbf082846283269ea",
    "t10k-labels-idx1-ubyte.gz": "27ae3e4e09519cfbb04c329615203637",
}


# ---------------------------------------------------------------- the files of the repository


@pytest.mark.parametrize("name", MD5)
def test_stored_bytes_are_the_canonical_ones(name):
    packed = (STORED / name).read_bytes()
    assert hashlib.md5(gzip.decompress(packed)).hexdigest() == MD5[name]
    assert packed[3:8] == bytes(5), "no name and no time: made again, the file must not change"


def test_readme_lists_every_checksum():
    text = (ROOT / "datasets" / "README.md").read_text(encoding="utf-8")
    for name, md5 in MD5.items():
        row = next(line for line in text.splitlines() if f"`mnist/{name}`" in line)
        assert md5 in row
        assert tinykd.data.mnist.SHA256[name.removesuffix(".gz")] in row


def test_shapes_types_and_known_values():
    images, labels = load_mnist("train")
    assert images.shape == (60000, 28, 28)
    assert images.dtype == torch.float32
    assert (labels.shape, labels.dtype) == ((60000,), torch.int64)
    assert (images.min(), images.max()) == (0.0, 1.0)
    assert abs(images.mean().item() - 0.1307) < 1e-4  # the constants everybody normalises with
    assert abs(images.std().item() - 0.3081) < 1e-4
    assert labels[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]
    test_images, test_labels = load_mnist("test")
    assert test_images.shape == (10000, 28, 28)
    assert test_labels.bincount()[3] == 1010  # the threes of Hinton's section 3


def test_images_may_be_changed_in_place_without_a_warning():
    images, _ = load_mnist("test")
    images[0] = 0
    assert load_mnist("test")[0][0].max() > 0


def test_unknown_split():
    with pytest.raises(ValueError, match="split is 'valid'.*train"):
        load_mnist("valid")


def test_a_folder_is_used_and_nothing_else(tmp_path):
    with pytest.raises(FileNotFoundError, match=f"{IMAGES} is not in {tmp_path}"):
        load_mnist("test", tmp_path)
    for name in (LABELS, IMAGES):
        (tmp_path / name).write_bytes((STORED / name).read_bytes())
    assert torch.equal(load_mnist("test", str(tmp_path))[1], load_mnist("test")[1])


def test_tinykd_data_names_a_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("TINYKD_DATA", str(tmp_path))
    (tmp_path / "mnist").mkdir()
    (tmp_path / "mnist" / LABELS).write_bytes(b"ours")
    with pytest.raises(ValueError, match="is corrupt"):  # so the folder comes before datasets/
        load_mnist("test")


@pytest.mark.parametrize("damage", ["pixel", "byte", "half", "empty", "html"])
def test_a_corrupt_file_says_what_and_what_to_do(damage, tmp_path):
    good = (STORED / LABELS).read_bytes()
    raw = bytearray(gzip.decompress(good))
    raw[4711] ^= 1
    bad = {
        "pixel": gzip.compress(raw),
        "byte": good[:3000] + bytes([good[3000] ^ 1]) + good[3001:],
        "half": good[: len(good) // 2],
        "empty": b"",
        "html": b"<html>please log in to the network</html>",
    }[damage]
    for name in (LABELS, IMAGES):
        (tmp_path / name).write_bytes(bad if name == LABELS else (STORED / name).read_bytes())
    with pytest.raises(ValueError, match="corrupt") as caught:
        load_mnist("test", tmp_path)
    message = str(caught.value)
    assert LABELS in message
    assert tinykd.data.mnist.SHA256[LABELS.removesuffix(".gz")] in message
    found = raw if damage == "pixel" else bad
    assert hashlib.sha256(found).hexdigest() in message
    assert "Delete the file" in message
    assert "tinykd data" in message


# ---------------------------------------------------------------- a mirror that fails


class Mirror(ThreadingHTTPServer):
    """Serves the stored files; `plan` holds what goes wrong with each request, in order."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Answer)
        self.plan, self.ranges, self.seen = [], [], []
        self.url = f"http://127.0.0.1:{self.server_port}/mnist"


class Answer(BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def do_GET(self):
        fault = self.server.plan.pop(0) if self.server.plan else "fine"
        wanted = self.headers.get("Range")
        self.server.ranges.append(wanted)
        self.server.seen.append(self.path)
        body = (STORED / Path(self.path).name).read_bytes()
        if fault in ("500", "404"):
            self.send_error(int(fault))
            return
        if fault == "corrupt":
            body = body[:500] + bytes(100) + body[600:]
        start = int(wanted[6:-1]) if wanted and fault != "no ranges" else 0
        if start >= len(body):
            self.send_error(416)
            return
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        rest = body[start:]
        sent = rest[: len(rest) // 2] if fault in ("drop", "truncate") else rest
        # Dropped: the promised length does not arrive. Truncated: the server itself has only half.
        self.send_header("Content-Length", str(len(sent if fault == "truncate" else rest)))
        self.end_headers()
        self.wfile.write(sent)


@pytest.fixture
def mirror(tmp_path, monkeypatch):
    """An installed wheel's view: no repository, an empty TINYKD_DATA, our mirror, no waiting."""
    server = Mirror()
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}).start()
    there = tmp_path / "site" / "tinykd" / "data" / "locate.py"
    monkeypatch.setattr(tinykd.data.locate, "__file__", str(there))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(tinykd.data.download, "WAIT", 0)
    monkeypatch.setenv("TINYKD_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("TINYKD_DATA_URL", server.url)
    for proxy in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(proxy, raising=False)
    yield server
    server.shutdown()
    server.server_close()


def stored(tmp_path):
    return sorted(p.name for p in (tmp_path / "data" / "mnist").glob("*") if p.suffix != ".lock")


def test_fetches_what_is_missing_once(mirror, tmp_path):
    labels = load_mnist("test")[1]
    assert labels.bincount()[3] == 1010
    assert stored(tmp_path) == [IMAGES, LABELS]
    load_mnist("test")
    assert len(mirror.seen) == 2
    assert mirror.ranges == [None, None]
    paths = mnist_files()
    assert [path.name for path in paths] == list(MD5)
    assert len(mirror.seen) == 4


def test_a_dropped_connection_is_resumed_where_it_broke(mirror, tmp_path):
    mirror.plan = ["drop", "drop"]
    load_mnist("test")
    size = (STORED / IMAGES).stat().st_size
    have, starts = 0, []
    for _ in range(2):  # half of the rest arrives each time, less the chunk that was under way
        have += (size - have) // 2 // tinykd.data.download.CHUNK * tinykd.data.download.CHUNK
        starts.append(f"bytes={have}-")
    assert mirror.ranges[:3] == [None, *starts]
    assert (tmp_path / "data" / "mnist" / IMAGES).read_bytes() == (STORED / IMAGES).read_bytes()
    assert stored(tmp_path) == [IMAGES, LABELS]


def test_a_killed_process_is_resumed_too(mirror, tmp_path):
    folder = tmp_path / "data" / "mnist"
    folder.mkdir(parents=True)
    (folder / f"{IMAGES}.part").write_bytes((STORED / IMAGES).read_bytes()[:1234])
    load_mnist("test")
    assert mirror.ranges[0] == "bytes=1234-"
    assert stored(tmp_path) == [IMAGES, LABELS]


def test_a_server_without_ranges_starts_over(mirror, tmp_path):
    mirror.plan = ["drop", "no ranges"]
    load_mnist("test")
    assert mirror.ranges[1] is not None
    assert len(mirror.seen) == 3, "the second answer was whole: no third attempt at the images"
    assert (tmp_path / "data" / "mnist" / IMAGES).read_bytes() == (STORED / IMAGES).read_bytes()


def test_a_complete_part_is_not_a_dead_end(mirror, tmp_path):
    folder = tmp_path / "data" / "mnist"
    folder.mkdir(parents=True)
    (folder / f"{IMAGES}.part").write_bytes((STORED / IMAGES).read_bytes())  # killed before rename
    load_mnist("test")
    assert stored(tmp_path) == [IMAGES, LABELS]


@pytest.mark.parametrize("fault", ["truncate", "corrupt", "500"])
def test_one_fault_is_survived(mirror, tmp_path, fault):
    mirror.plan = [fault]
    load_mnist("test")
    assert mirror.ranges[:2] == [None, None], "what was wrong is never built upon"
    assert stored(tmp_path) == [IMAGES, LABELS]


@pytest.mark.parametrize("fault", ["truncate", "corrupt", "500", "404"])
def test_a_broken_mirror_says_what_to_do_and_leaves_no_file(mirror, tmp_path, fault):
    mirror.plan = [fault] * 100
    with pytest.raises(ConnectionError) as caught:
        load_mnist("test")
    message = str(caught.value)
    expected = fault if fault in ("500", "404") else tinykd.data.mnist.SHA256[IMAGES[:-3]]
    for words in (IMAGES, mirror.url, expected, "HTTPS_PROXY", "TINYKD_DATA_URL", "tinykd data"):
        assert words in message
    assert len(mirror.seen) == tinykd.data.download.ATTEMPTS
    assert stored(tmp_path) == []


def test_the_next_mirror_takes_over(mirror, tmp_path, monkeypatch):
    monkeypatch.delenv("TINYKD_DATA_URL")
    monkeypatch.setattr(
        tinykd.data.mnist, "MIRRORS", (mirror.url + "/first/", mirror.url + "/second")
    )
    mirror.plan = ["drop"] + ["500"] * 3
    load_mnist("test")
    assert "/first/" in mirror.seen[3]
    assert "/second/" in mirror.seen[4]
    assert mirror.ranges[4] is not None, "the second mirror goes on where the first one broke off"


def test_nobody_listens(mirror, monkeypatch):
    monkeypatch.setenv("TINYKD_DATA_URL", "http://127.0.0.1:9")
    with pytest.raises(ConnectionError, match="HTTPS_PROXY"):
        load_mnist("test")


def test_the_default_mirrors_are_those_of_torchvision():
    hosts = [base.split("/")[2] for base in tinykd.data.mnist.MIRRORS]
    assert hosts == ["ossci-datasets.s3.amazonaws.com", "storage.googleapis.com"]


def test_without_tinykd_data_the_cache_is_filled(mirror, tmp_path, monkeypatch):
    monkeypatch.delenv("TINYKD_DATA")
    monkeypatch.setattr(tinykd.data.download, "cache", lambda: tmp_path / "data")
    load_mnist("test")
    assert stored(tmp_path) == [IMAGES, LABELS]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limit on the size of a file")
def test_a_write_that_fails_midway_leaves_nothing(mirror, tmp_path):
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (500_000, hard))  # as good as a full disk
    try:
        with pytest.raises(OSError, match=f"File too large.*{IMAGES}"):
            load_mnist("test")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert stored(tmp_path) == []
    load_mnist("test")


def test_parallel_processes_download_once(mirror, tmp_path):
    mirror.plan = ["drop"]
    threads = [threading.Thread(target=load_mnist, args=("test",)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(mirror.seen) == 3  # images (twice, for the drop) and labels
    assert stored(tmp_path) == [IMAGES, LABELS]


# ---------------------------------------------------------------- jitter


def shifted(image, dy, dx):
    """Slow oracle: image[y, x] of the result is image[y - dy, x - dx] of the source, or zero."""
    height, width = image.shape[-2:]
    result = torch.zeros_like(image)
    for y in range(height):
        for x in range(width):
            if 0 <= y - dy < height and 0 <= x - dx < width:
                result[..., y, x] = image[..., y - dy, x - dx]
    return result


@pytest.mark.parametrize("shape", [(28, 28), (3, 9, 7)])
def test_every_result_is_an_exact_shift_and_all_25_occur_equally(shape):
    torch.manual_seed(0)
    image = torch.rand(shape)
    table = {(dy, dx): shifted(image, dy, dx) for dy in range(-2, 3) for dx in range(-2, 3)}
    moved = jitter(image.expand(5000, *shape), pixels=2)
    counts = {key: int((moved == value).flatten(1).all(1).sum()) for key, value in table.items()}
    assert sum(counts.values()) == 5000
    assert all(abs(count - 200) < 70 for count in counts.values()), counts  # 5 standard deviations


def test_images_of_a_batch_are_not_mixed_up():
    torch.manual_seed(1)
    images = torch.rand(40, 6, 5)
    for source, result in zip(images, jitter(images, pixels=1), strict=True):
        candidates = [shifted(source, dy, dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)]
        assert any(torch.equal(result, candidate) for candidate in candidates)


def test_no_pixels_is_the_identity_and_the_input_stays_as_it_is():
    images = torch.rand(7, 1, 28, 28)
    before = images.clone()
    result = jitter(images, pixels=0)
    assert torch.equal(result, images)
    result.zero_()
    jitter(images)
    assert torch.equal(images, before)


@pytest.mark.parametrize("pixels", [1, 2])
def test_subpixel_shifts_are_uniform_and_bilinear(pixels):
    """Channel 0 is one bright pixel: its centre of mass says by how much an image was moved."""
    from scipy import ndimage

    torch.manual_seed(2)
    images = torch.rand(2000, 2, 7, 9, dtype=torch.float64)
    images[:, 0] = 0
    images[:, 0, 3, 4] = 1
    moved = jitter(images, pixels, subpixel=True)
    assert moved.shape == images.shape
    light = moved[:, 0].numpy()
    assert light.sum((1, 2)) == pytest.approx(1)
    dy = (light.sum(2) * np.arange(7)).sum(1) - 3
    dx = (light.sum(1) * np.arange(9)).sum(1) - 4
    for shift in (dy, dx):
        assert -pixels <= shift.min() < -0.98 * pixels
        assert 0.98 * pixels < shift.max() <= pixels
        assert abs(shift.mean()) < 5 * pixels / math.sqrt(3 * 2000)
        assert shift.var() == pytest.approx(pixels**2 / 3, rel=0.1)
    assert abs(np.corrcoef(dy, dx)[0, 1]) < 0.12
    for n in range(50):
        expected = ndimage.shift(
            images[n, 1].numpy(), (dy[n], dx[n]), order=1, mode="grid-constant"
        )
        np.testing.assert_allclose(moved[n, 1].numpy(), expected, atol=1e-12)
    torch.manual_seed(7)
    plain = jitter(images[:, 1], pixels, subpixel=True)
    torch.manual_seed(7)
    assert torch.equal(plain, jitter(images, pixels, subpixel=True)[:, 1])
    assert torch.equal(jitter(images, 0, subpixel=True), images)


def test_jitter_repeats_with_torchs_seed_and_keeps_the_type():
    images = torch.rand(64, 28, 28, dtype=torch.float64)
    torch.manual_seed(3)
    first = jitter(images)
    second = jitter(images)
    torch.manual_seed(3)
    assert torch.equal(first, jitter(images))
    assert not torch.equal(first, second)
    assert first.dtype == torch.float64
    assert first.is_contiguous()


def test_jitter_refuses_what_it_cannot_shift():
    with pytest.raises(ValueError, match=r"got \(28, 28\)"):
        jitter(torch.rand(28, 28))
    with pytest.raises(ValueError, match="pixels is -1"):
        jitter(torch.rand(2, 28, 28), pixels=-1)


# ---------------------------------------------------------------- Batches


def ten(**options):
    return Batches(torch.arange(10.0)[:, None], torch.arange(10), size=4, **options)


def order(batches):
    return torch.cat([batch["index"] for batch in batches]).tolist()


def test_every_sample_once_with_its_label_and_index():
    batches = ten()
    seen = list(batches)
    assert len(batches) == len(seen) == 3
    assert [len(batch["index"]) for batch in seen] == [4, 4, 2]
    assert sorted(order(seen)) == list(range(10))
    for batch in seen:
        assert torch.equal(batch["inputs"][:, 0].long(), batch["labels"])
        assert torch.equal(batch["index"], batch["labels"])


def test_order_depends_on_seed_and_epoch_only():
    batches = ten(seed=5)
    epochs = [order(batches) for _ in range(4)]
    assert len({tuple(epoch) for epoch in epochs}) == 4
    assert batches.epoch == 4
    torch.manual_seed(99)
    resumed = ten(seed=5)
    resumed.set_epoch(2)
    assert order(resumed) == epochs[2]
    assert order(resumed) == epochs[3]
    assert order(ten(seed=6)) != epochs[0]
    assert order(ten(seed=6)) != epochs[1], "seed + epoch as the seed would make these equal"
    assert sorted(order(ten(seed=-1))) == list(range(10))


def test_a_pass_broken_off_counts_as_one():
    batches = ten()
    next(iter(batches))
    assert batches.epoch == 1


def test_shuffling_leaves_torchs_generator_alone():
    torch.manual_seed(0)
    before = torch.get_rng_state()
    order(ten())
    assert torch.equal(torch.get_rng_state(), before)


def test_no_shuffle_and_drop_last():
    assert order(ten(shuffle=False)) == list(range(10))
    short = ten(shuffle=False, drop_last=True)
    assert len(short) == 2
    assert order(short) == list(range(8))
    with pytest.raises(ValueError, match="10 samples, size 11"):
        Batches(torch.arange(10), torch.arange(10), size=11, drop_last=True)


def test_augment_sees_each_batch_and_uses_torchs_generator():
    images = torch.rand(10, 28, 28)
    batches = Batches(images, torch.arange(10), size=4, augment=jitter)
    torch.manual_seed(1)
    first = [batch["inputs"] for batch in batches]
    batches.set_epoch(0)
    torch.manual_seed(1)
    assert all(torch.equal(a, b["inputs"]) for a, b in zip(first, batches, strict=True))
    assert not torch.equal(torch.cat(first), images[order(ten())])


@pytest.mark.parametrize(
    ("inputs", "labels", "size", "words"),
    [
        (torch.rand(10, 3), torch.arange(9), 4, r"\(10, 3\).*\(9,\)"),
        (torch.rand(10), torch.tensor(1), 4, r"\(10,\).*\(\)"),
        (torch.rand(0, 3), torch.arange(0), 4, r"no samples.*\(0, 3\)"),
        (torch.rand(10), torch.arange(10), 0, "size is 0"),
        (torch.rand(10), torch.arange(10), -2, "size is -2"),
    ],
)
def test_bad_input(inputs, labels, size, words):
    with pytest.raises(ValueError, match=words):
        Batches(inputs, labels, size=size)


RANK = """
import sys, torch, torch.distributed as dist
from tinykd import Batches
rank = int(sys.argv[1])
dist.init_process_group("gloo", init_method="file://" + sys.argv[2], rank=rank, world_size=2)
batches = Batches(torch.arange(20), torch.arange(20), size=8, seed=3)
for batch in batches:
    print(*batch["index"].tolist())
try:
    list(Batches(torch.arange(9), torch.arange(9), size=8))
except ValueError as error:
    print(error)
dist.destroy_process_group()
"""


@pytest.mark.slow
def test_two_ranks_share_every_batch(tmp_path):
    command = [sys.executable, "-c", RANK]
    ranks = [
        subprocess.Popen([*command, str(rank), str(tmp_path / "meet")], stdout=subprocess.PIPE)
        for rank in (0, 1)
    ]
    lines = [rank.communicate(timeout=120)[0].decode().splitlines() for rank in ranks]
    assert [rank.returncode for rank in ranks] == [0, 0]
    shares = [[list(map(int, line.split())) for line in rank[:3]] for rank in lines]
    assert [[len(share) for share in rank] for rank in shares] == [[4, 4, 2]] * 2
    alone = list(Batches(torch.arange(20), torch.arange(20), size=8, seed=3))
    for whole, first, second in zip(alone, *shares, strict=True):
        assert whole["index"].tolist() == first + second
    assert "1 samples for 2 ranks" in lines[0][3]


def test_1d_digits_are_the_published_ones_and_leave_the_dice_alone():
    np.random.seed(3)
    before = np.random.get_state()[1].copy()
    signals, labels = load_mnist1d(200, seed=7)
    assert np.array_equal(before, np.random.get_state()[1])
    assert signals.shape == (200, 40)
    assert signals.dtype == torch.float32
    assert torch.bincount(labels).tolist() == [20] * 10
    assert signals.mean().item() == pytest.approx(0, abs=1e-5)
    assert signals.std(correction=0).item() == pytest.approx(1, abs=1e-4)
    again, other = load_mnist1d(200, seed=7)[0], load_mnist1d(200, seed=8)[0]
    assert torch.equal(signals, again)
    assert not torch.equal(signals, other)
    with pytest.raises(ValueError, match="25"):
        load_mnist1d(25)
