"""The first encoder, cell by cell: from unlabelled digits to C for a Cortex-M.

Open it in an editor that knows `# %%` cells (VS Code, Spyder, PyCharm), or run it: python examples/first_encoder.py
"""

# %% The whole door is one import.
from pathlib import Path

import tinyedge

here = Path("first_encoder")

# %% Pretrain without labels. One epoch takes seconds and shows the way; 40 show what the method can do.
run = tinyedge.train(
    here / "run", data="digits", method="s0-plus", image_size=16, strides=(2, 1, 2, 2, 1), epochs=1, overwrite=True
)

# %% How good is the encoder, with a linear classifier on its frozen features?
result = tinyedge.probe(run, seeds=1)
print(f"{100 * result.mean:.1f} % of {result.test_images} test images")

# %% It is a PyTorch module like any other.
encoder = run.load_encoder()
images = run.load_dataset().test.images[:4]
print(encoder(images / 255).shape)

# %% Fold, convert, quantise, and prove that the stages agree. The gate is open for an encoder of one epoch.
manifest = tinyedge.export(run, calibration=64, max_drop=100.0)
print(manifest.model, manifest.parity["top1"])

# %% C99 for any project.
library = tinyedge.compile(run.path, here / "c", name="digits")
print(f"{len(library.files)} files; the arena takes {library.arena_bytes:,} bytes")
