"""`python -m bench.data.build_sample DIR` cuts the embedded sample out of CIFAR-10's shards again.

Nothing of it runs while something is measured.
"""

import argparse
from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.compute
import pyarrow.parquet

from bench.data.dataset import stratified
from bench.data.decoding import encoded_images, file_hash, read_table
from bench.data.embedded import SAMPLE, SAMPLE_ROWS, SAMPLE_SEED
from bench.errors import DataAbsent


def build(folder: Path, target: Path) -> str:
    """Cut the sample out of a folder with CIFAR-10's Parquet shards; image bytes are taken as they are.

    The choice is seeded: the same shards and the same pyarrow give the same bytes.

    Returns:
        The SHA-256 of the file written, to be kept as `SAMPLE_SHA256`.

    Raises:
        DataAbsent: no shards there.
    """
    parts = [_chosen_rows(folder, split, count) for split, count in SAMPLE_ROWS.items()]
    table = pyarrow.concat_tables(parts)
    # Shuffled once, so that a batch in file order is not of one class.
    table = table.take(np.random.RandomState(SAMPLE_SEED).permutation(len(table)))
    # Lossless WebP does not compress further; statistics and dictionaries would only repeat image bytes.
    pyarrow.parquet.write_table(table, target, compression="none", use_dictionary=["split"], write_statistics=False)
    return file_hash(target)


def _chosen_rows(folder: Path, split: str, count: int) -> pyarrow.Table:
    files = sorted(folder.glob(f"{split}-*.parquet"))
    if not files:
        raise DataAbsent(f"no {split}-*.parquet in {folder}")
    source = pyarrow.concat_tables([read_table(path, ["img", "label"]) for path in files])
    rows = stratified(source["label"].to_numpy(), count, SAMPLE_SEED)
    chosen = source.take(rows)
    return pyarrow.table(
        {
            "split": [split] * count,
            "image": pyarrow.array(encoded_images(chosen, "img"), pyarrow.binary()),
            "label": chosen["label"].combine_chunks(),
            "index": pyarrow.array(rows, pyarrow.int64()),
        }
    )


def main() -> None:
    """`python -m bench.data.build_sample DIR`: build the sample where the package keeps it and print its checksum."""
    parser = argparse.ArgumentParser(
        "python -m bench.data.build_sample", description="Build the embedded sample of CIFAR-10."
    )
    parser.add_argument("folder", type=Path, metavar="DIR", help="holds train-*.parquet and test-*.parquet of CIFAR-10")
    print(f"{build(parser.parse_args().folder, SAMPLE)}  {SAMPLE}")


if __name__ == "__main__":
    main()
