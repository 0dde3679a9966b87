#!/usr/bin/python3
"""Hands answers that differ from apt's back to apt: accept.py STATE STATUS DIFFERENT

DIFFERENT has a request, a tab and our answer a line (compare.py writes it). Each answer goes to `apt-get -s install name=version …`, which must
install exactly that set and remove nothing. Prints those that are not accepted and their number; exits 1 when there are any.
"""
import re
import sys

from common import simulate


def main():
    refused = total = 0
    with open(sys.argv[3]) as lines:
        for line in lines:
            request, _, answer = line.rstrip("\n").partition("\t")
            total += 1
            fine, installed, message = simulate(sys.argv[1], sys.argv[2], answer.split())
            installed = {re.sub(r":amd64=", "=", word) for word in installed}
            if not fine or installed != set(answer.split()):
                refused += 1
                print(f"not accepted: {request}: {message[:300]}")
    print(f"{total - refused} of {total} answers that differ are accepted by apt as they are")
    sys.exit(1 if refused else 0)


main()
