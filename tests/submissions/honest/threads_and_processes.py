# Threads, a pool of processes, a lock in a file: what the sandbox refuses for secrecy's sake is not
# what honest code needs.
#
# earns: 63

# %% role="answer" name="centre"
import fcntl
import multiprocessing
import os
import sqlite3
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor

with tempfile.TemporaryFile() as file:
    fcntl.lockf(file, fcntl.LOCK_EX)
with sqlite3.connect(os.path.join(tempfile.mkdtemp(), "notes.db")) as notes:
    notes.execute("create table note (text)")
    notes.execute("insert into note values ('one')")
assert subprocess.run(["true"], close_fds=True).returncode == 0
assert os.cpu_count()


def minus_mean(row):
    return row - row.mean()


def centre(x):
    with ThreadPoolExecutor(2) as threads:
        rows = list(threads.map(minus_mean, x.reshape(-1, x.shape[-1])))
    with multiprocessing.get_context("fork").Pool(2) as processes:
        assert processes.map(len, rows) == [len(row) for row in rows]
    return np.stack(rows).reshape(x.shape)
