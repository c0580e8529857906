"""Prints what an offline run of wandb's holds: its own messages, in a log as LevelDB writes it.

Blocks of 32 KiB behind a head of 7 bytes; in them chunks of CRC, length, and kind: a whole record,
or its first, middle or last part. Run by the Python that has wandb.
"""

from __future__ import annotations

import json
import struct
import sys
from pathlib import Path

HEAD, BLOCK = 7, 32_768
WHOLE, LAST = 1, 4


def told(items):
    return {one.key or ".".join(one.nested_key): json.loads(one.value_json) for one in items}


def records(data):
    at, record = HEAD, b""
    while at + HEAD <= len(data):
        left = BLOCK - at % BLOCK
        if left < HEAD:
            at += left
            continue
        _, length, kind = struct.unpack_from("<IHB", data, at)
        record += data[at + HEAD : at + HEAD + length]
        at += HEAD + length
        if kind in (WHOLE, LAST):
            yield record
            record = b""


def main(path):
    from wandb.proto.wandb_internal_pb2 import Record

    found = {"config": {}, "summary": {}, "history": [], "exit": None}
    for data in records(Path(path).read_bytes()):
        record = Record.FromString(data)
        if record.HasField("run"):
            run = record.run
            found["config"] |= told(run.config.update)
            found |= {"name": run.display_name, "notes": run.notes, "host": run.host}
        found["summary"] |= told(record.summary.update)
        if record.history.item:
            found["history"].append(told(record.history.item))
        if record.HasField("exit"):
            found["exit"] = record.exit.exit_code
    print(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1])
