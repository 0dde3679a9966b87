#!/usr/bin/python3
"""Hands answers that differ from apt's back to apt: accept.py STATE STATUS DIFFERENT

DIFFERENT has a request, a tab and our answer a line (compare.py writes it). Each answer goes to `apt-get -s install name=version …`, which must
install exactly that set and remove nothing. Prints those that are not accepted and their number; exits 1 when there are any.
"""
import os
import re
import subprocess
import sys

INSTALL = re.compile(r"^Inst (\S+) (?:\[[^]]*\] )?\((\S+) ")


def accepted(state, status, answer):
    options = {
        "Dir::State::lists": os.path.join(state, "lists"),
        "Dir::State::status": status,
        "Dir::State::extended_states": os.path.join(state, "extended_states"),
        "Dir::Cache": os.path.join(state, "cache"),
        "Dir::Cache::pkgcache": "pkgcache.bin",
        "Dir::Cache::srcpkgcache": "srcpkgcache.bin",
        "Dir::Etc::preferences": "/dev/null",
        "Dir::Etc::preferencesparts": "/dev/null",
        "Debug::NoLocking": "1",
    }
    command = ["apt-get", "-s", "--no-install-recommends", "install"]
    for key, value in options.items():
        command += ["-o", f"{key}={value}"]
    environment = {**os.environ, "LC_ALL": "C", "APT_CONFIG": "/dev/null"}
    run = subprocess.run(command + answer, capture_output=True, text=True, env=environment)
    installed = {f"{found[1]}={found[2]}" for line in run.stdout.splitlines() if (found := INSTALL.match(line))}
    removes = any(line.startswith("Remv ") for line in run.stdout.splitlines())
    installed = {re.sub(r":amd64=", "=", word) for word in installed}
    return run.returncode == 0 and not removes and installed == set(answer), run.stderr.strip()


def main():
    state, status = map(os.path.abspath, sys.argv[1:3])
    refused = total = 0
    with open(sys.argv[3]) as lines:
        for line in lines:
            request, _, answer = line.rstrip("\n").partition("\t")
            total += 1
            fine, message = accepted(state, status, answer.split())
            if not fine:
                refused += 1
                print(f"not accepted: {request}: {message[:300]}")
    print(f"{total - refused} of {total} answers that differ are accepted by apt as they are")
    sys.exit(1 if refused else 0)


main()
