#!/usr/bin/python3
"""Compares what can be installed at all with dose's verdict: installable.py PACKAGES OUR-PROGRAM

PACKAGES is the Packages file of one archive. OUR-PROGRAM, the example `installable`, prints the names that cannot be installed on an empty image;
they must be those that `dose-debcheck --latest=1` names. Exits 1 otherwise.
"""
import re
import subprocess
import sys


def dose(packages):
    command = ["dose-debcheck", "--deb-native-arch=amd64", "--latest=1", "-f", packages]
    # It exits 1 when something is not installable.
    said = subprocess.run(command, capture_output=True, text=True).stdout
    if "total-packages:" not in said:
        sys.exit(f"dose-debcheck did not check anything: {said[:500]}")
    return set(re.findall(r"^  package: (\S+)$", said, re.MULTILINE))


def main():
    packages, program = sys.argv[1:3]
    theirs = dose(packages)
    said = subprocess.run([program, packages], stdout=subprocess.PIPE, text=True, check=True).stdout
    ours = set(said.split())
    for name in sorted(ours - theirs):
        print(f"not installable for us alone: {name}")
    for name in sorted(theirs - ours):
        print(f"not installable for dose alone: {name}")
    print(f"{len(ours)} names cannot be installed by us, {len(theirs)} by dose")
    sys.exit(0 if ours == theirs else 1)


main()
