"""Says how many seconds the tests of each area took, from the JUnit file of a nextest run."""

import collections
import os
import sys
import xml.etree.ElementTree as tree

if len(sys.argv) != 2 or not os.path.exists(sys.argv[1]):
    sys.exit("times.py: no file %s: run the tests with the profile `ci` first" % sys.argv[1:])
areas = collections.defaultdict(list)
for suite in tree.parse(sys.argv[1]).getroot():
    binary = suite.get("name").split("::")[-1]
    for case in suite.iter("testcase"):
        parts = case.get("name").split("::")
        if binary == "it":
            area = parts[0]
        elif binary == "mount":
            area = "mount"
        else:
            area = "unit"
        areas[area].append((float(case.get("time")), case.get("name")))
print(
    "%8s %6s  %s" % ("seconds", "tests", "area (tests run side by side: the sum is work, not time)")
)
for area, cases in sorted(areas.items(), key=lambda item: -sum(t for t, _ in item[1])):
    print("%8.1f %6d  %s" % (sum(t for t, _ in cases), len(cases), area))
every = sorted((case for cases in areas.values() for case in cases), reverse=True)
print("%8.1f %6d  together" % (sum(t for t, _ in every), len(every)))
print("\nthe longest:")
for seconds, name in every[:30]:
    print("%8.1f  %s" % (seconds, name))
