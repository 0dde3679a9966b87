#!/usr/bin/python3
"""Compares version orders with libapt's: versions.py COUNT SEED OUR-PROGRAM

Makes COUNT pairs from a seed: random ones of the characters that matter, and pairs that differ in one place. OUR-PROGRAM is the example
`versions`. Prints the number of differences and exits 1 when there are any.
"""
import random
import subprocess
import sys

import apt_pkg

PIECES = ["0", "1", "9", "00", "10", "~", "+", ".", "a", "Z", "-", "~rc", "+b", "deb12u", "99999999999999999999"]


def version(random):
    text = "".join(random.choice(PIECES) for _ in range(random.randint(1, 7)))
    epoch = random.choice(["", "", "", "0:", "1:", "12:"])
    return epoch + str(random.randint(0, 3)) + text.rstrip("-")


def changed(random, text):
    at = random.randrange(len(text) + 1)
    return text[:at] + random.choice(PIECES[:12]) + text[at + random.randint(0, 1) :]


def pairs(count, seed):
    source = random.Random(seed)
    for number in range(count):
        a = version(source)
        b = version(source) if number % 2 else changed(source, a)
        # What dpkg refuses as a version has no order: nothing before the revision, an epoch that is no number.
        if b and not b.split(":")[-1].startswith("-") and b.count(":") <= 1 and (":" not in b or b.split(":")[0].isdigit()) and not b.endswith((":", "-")):
            yield a, b


def main():
    apt_pkg.init_system()
    made = list(pairs(int(sys.argv[1]), int(sys.argv[2])))
    text = "".join(f"{a} {b}\n" for a, b in made)
    ours = subprocess.run(sys.argv[3:], input=text, capture_output=True, text=True, check=True).stdout.split()
    different = 0
    for (a, b), our in zip(made, ours, strict=True):
        order = apt_pkg.version_compare(a, b)
        if int(our) != (order > 0) - (order < 0):
            different += 1
            if different < 10:
                print(f"{a} and {b}: ours {our}, libapt {order}")
    print(f"{len(made)} pairs, {different} differences")
    sys.exit(1 if different else 0)


main()
