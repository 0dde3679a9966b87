#!/usr/bin/python3
"""Has apt solve by our resolver: edsp.py STATE STATUS REQUESTS COUNT OUR-PROGRAM

OUR-PROGRAM is the example `edsp`. apt runs it as its external solver for the first COUNT requests, checks its solutions and simulates them;
each must install what is asked for and remove nothing. Prints those that fail and their number; exits 1 when there are any.
"""
import os
import sys
import tempfile

from common import simulate


def main():
    state, status, requests, count, program = sys.argv[1:6]
    failed = total = 0
    with open(requests) as lines, tempfile.TemporaryDirectory() as solvers:
        os.chmod(solvers, 0o755)
        os.symlink(os.path.abspath(program), os.path.join(solvers, "bootsplice"))
        more = ["-o", f"Dir::Bin::Solvers={solvers}", "-o", "APT::Solver::RunAsUser=root", "--solver", "bootsplice"]
        for _, line in zip(range(int(count)), lines):
            names = line.split()
            total += 1
            fine, installed, message = simulate(state, status, names, more)
            solved = {word.split("=")[0].split(":")[0] for word in installed}
            if not fine or not (solved.issuperset(names) or not installed):
                failed += 1
                print(f"not accepted: {line.strip()}: {message[:300]}")
    print(f"{total - failed} of {total} solutions through EDSP are accepted by apt")
    sys.exit(1 if failed else 0)


main()
