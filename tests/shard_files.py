"""Writers of shards in every format that `tfft.sources.shards` reads."""

import csv
import json

FORMATS = ("csv", "jsonl", "parquet", "tfrecord", "tsv")


def write(path, rows, names=("text", "label"), **settings):
    """Writes an iterable of rows in the format of the path's suffix; returns the path as text."""
    kind = path.suffix[1:]
    if kind == "parquet":
        _parquet(path, rows, names, **settings)
    elif kind == "tfrecord":
        _tfrecord(path, rows, names)
    else:
        with open(path, "w", newline="", encoding="utf-8") as file:
            if kind == "jsonl":
                for row in rows:
                    file.write(json.dumps(dict(zip(names, row, strict=True))) + "\n")
            else:
                writer = csv.writer(file, delimiter="\t" if kind == "tsv" else ",")
                writer.writerow(names)
                writer.writerows(rows)
    return str(path)


def _parquet(path, rows, names, row_group_size=100):
    import itertools

    import pyarrow
    from pyarrow import parquet

    rows, writer = iter(rows), None
    while chunk := list(itertools.islice(rows, row_group_size)):
        table = pyarrow.table(dict(zip(names, map(list, zip(*chunk, strict=True)), strict=True)))
        writer = writer or parquet.ParquetWriter(path, table.schema)
        writer.write_table(table)
    writer.close()


def _tfrecord(path, rows, names):
    import tensorflow as tf

    def feature(value):
        if isinstance(value, str):
            return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value.encode()]))
        if isinstance(value, float):
            return tf.train.Feature(float_list=tf.train.FloatList(value=[value]))
        return tf.train.Feature(int64_list=tf.train.Int64List(value=[value]))

    with tf.io.TFRecordWriter(str(path)) as writer:
        for row in rows:
            features = {name: feature(value) for name, value in zip(names, row, strict=True)}
            example = tf.train.Example(features=tf.train.Features(feature=features))
            writer.write(example.SerializeToString())
