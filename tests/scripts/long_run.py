"""A run that says when it has begun and goes on until it is interrupted."""

import sys
import time
from pathlib import Path

from runs import run

folder = Path(sys.argv[1])
trainer, batches = run(folder)
if sys.argv[2] == "nowhere":
    trainer.checkpoint = None
trainer.callbacks.append(lambda t: (print("step", t.step, flush=True), time.sleep(0.02)))
trainer.fit(batches, epochs=10_000)
