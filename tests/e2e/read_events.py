#!/usr/bin/python3
"""Reads event files as TensorBoard does, without it, and checks the framing and both checksums of each record.

Usage: read_events.py FILE…     prints a JSON object: {"versions": […], "restarts": [steps], "scalars": {tag: [[step, value]…]},
                                "histograms": {tag: [[step, {min, max, num, sum, sum_squares, limits, counts}]…]}}

Of event.proto and summary.proto: Event {1: wall_time double, 2: step, 3: file_version, 5: Summary, 7: SessionLog},
Summary {1: Value}, Value {1: tag, 2: simple_value float, 5: HistogramProto}, HistogramProto {1 min, 2 max, 3 num, 4 sum,
5 sum_squares, 6 bucket_limit, 7 bucket, packed doubles}.
"""
import json
import struct
import sys

TABLE = []
for byte in range(256):
    for _ in range(8):
        byte = (byte >> 1) ^ (0x82F63B78 if byte & 1 else 0)
    TABLE.append(byte)


def masked_crc(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc = TABLE[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    crc ^= 0xFFFFFFFF
    return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF


def records(data):
    at = 0
    while at < len(data):
        length, crc = struct.unpack_from("<QI", data, at)
        assert crc == masked_crc(data[at:at + 8]), f"checksum of the length at {at}"
        record = data[at + 12:at + 12 + length]
        assert len(record) == length, f"cut off at {at}"
        assert struct.unpack_from("<I", data, at + 12 + length)[0] == masked_crc(record), f"checksum of the data at {at}"
        yield record
        at += 16 + length


def varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, at


def fields(data):
    at = 0
    while at < len(data):
        key, at = varint(data, at)
        wire = key & 7
        if wire == 0:
            value, at = varint(data, at)
        elif wire == 1:
            value, at = struct.unpack_from("<d", data, at)[0], at + 8
        elif wire == 5:
            value, at = struct.unpack_from("<f", data, at)[0], at + 4
        else:
            assert wire == 2, f"wire type {wire}"
            length, at = varint(data, at)
            value, at = data[at:at + length], at + length
        yield key >> 3, value


def histogram(data):
    names = {1: "min", 2: "max", 3: "num", 4: "sum", 5: "sum_squares", 6: "limits", 7: "counts"}
    return {names[number]: list(struct.unpack(f"<{len(value) // 8}d", value)) if number > 5 else value
            for number, value in fields(data)}


out = {"versions": [], "restarts": [], "scalars": {}, "histograms": {}}
for path in sys.argv[1:]:
    with open(path, "rb") as file:
        data = file.read()
    for record in records(data):
        event = dict(fields(record))
        if 3 in event:
            out["versions"].append(event[3].decode())
        if 7 in event:
            out["restarts"].append(event[2])
        for number, value in fields(event.get(5, b"")):
            parts = dict(fields(value))
            tag = parts[1].decode()
            if 2 in parts:
                out["scalars"].setdefault(tag, []).append([event[2], parts[2]])
            if 5 in parts:
                out["histograms"].setdefault(tag, []).append([event[2], histogram(parts[5])])
print(json.dumps(out))
