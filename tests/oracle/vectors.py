#!/usr/bin/env python3
"""Runs the independent decoder over many stores at once: vectors.py FOLDER PASS-FILE.

FOLDER has a store in each folder. Prints a line of JSON for each: how a dump of host/tree ended,
what it showed, and how a check ended."""

import contextlib
import io
import json
import os
import sys
import types

import decoder


def ended(store, pass_file, command, *more):
    """The exit code of the decoder and what it printed."""
    out, arguments = io.StringIO(), types.SimpleNamespace(
        store=store, pass_file=pass_file, cmd=command, arg=list(more)
    )
    with contextlib.redirect_stdout(out):
        try:
            code = 3 if decoder.run(arguments) else 0
        except (decoder.Bad, *decoder.ODD) as e:
            print("%s: %s: %r" % (os.path.basename(store), command, e), file=sys.stderr)
            code = 1
    return code, out.getvalue()


def main(folder, pass_file):
    for name in sorted(os.listdir(folder)):
        store = os.path.join(folder, name)
        code, printed = ended(store, pass_file, "dump", "host/tree")
        entries = [json.loads(line) for line in printed.splitlines()]
        checked, _ = ended(store, pass_file, "check")
        print(json.dumps({"name": name, "read": code, "entries": entries, "check": checked}))


if __name__ == "__main__":
    main(*sys.argv[1:])
