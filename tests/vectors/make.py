#!/usr/bin/env python3
"""Writes the vectors: make.py FOLDER. README.md beside this file says what they are."""

import base64
import json
import os
import sys

import cases
import entries
import forge
import versions

# Each adds its vectors to cases.CASES.
PARTS = [cases, versions, entries]

USUAL = {"a": b"the first file\n", "b": b"the second file\n", "d": None, "d/c": b"c\n"}


def described(what):
    if what is None:
        return {"kind": "directory"}
    if isinstance(what, bytes):
        return {"kind": "file", "content": what.decode()}
    kind, target = what
    return {"kind": kind} if target is None else {"kind": kind, "target": target.decode()}


def stored(data):
    """Text as it is, other bytes in base64."""
    if all(32 <= byte < 127 or byte == 10 for byte in data):
        return {"text": data.decode()}
    return {"base64": base64.b64encode(data).decode()}


def vector(case):
    objects, level = case["build"]()
    lost = case.get("lost", [])
    tree = {} if lost == "all" else {p: w for p, w in USUAL.items() if p not in lost}
    tree.update(case.get("also", {}))
    return {
        "about": case["about"],
        "rule": case["rule"],
        "read": case.get("read", "damaged"),
        "check": case.get("check", "damaged"),
        "passphrase": forge.PASSPHRASE if level.encrypted else None,
        "tree": {path: described(what) for path, what in sorted(tree.items())},
        "links": case.get("links", []),
        "objects": {name: stored(data) for name, data in sorted(objects.items())},
    }


def main(folder):
    os.makedirs(folder, exist_ok=True)
    names = [case["name"] for case in cases.CASES]
    assert len(set(names)) == len(names), "a name stands twice"
    for case in cases.CASES:
        with open(os.path.join(folder, case["name"] + ".json"), "w") as out:
            json.dump(vector(case), out, indent=1)
            out.write("\n")


if __name__ == "__main__":
    main(sys.argv[1])
