"""Where apt finds what the comparison is about, and nothing of this machine."""
import os
import re
import subprocess

INSTALL = re.compile(r"^Inst (\S+) (?:\[[^]]*\] )?\((\S+) ")


def options(state, status):
    """apt's options. STATE is a directory with sources.list, lists/ (what `apt-get update` fetched) and room for caches; STATUS a dpkg status
    file. apt takes relative places as below its own directories."""
    state, status = os.path.abspath(state), os.path.abspath(status)
    states = os.path.join(state, "extended_states")
    open(states, "a").close()
    return {
        "Dir::Etc::sourcelist": os.path.join(state, "sources.list"),
        "Dir::Etc::sourceparts": "/dev/null",
        "Dir::Etc::preferences": "/dev/null",
        "Dir::Etc::preferencesparts": "/dev/null",
        "Dir::State::lists": os.path.join(state, "lists"),
        "Dir::State::status": status,
        "Dir::State::extended_states": states,
        "Dir::Cache": os.path.join(state, "cache"),
        # Some images blank these names, and every request would then build the cache again.
        "Dir::Cache::pkgcache": "pkgcache.bin",
        "Dir::Cache::srcpkgcache": "srcpkgcache.bin",
        "Debug::NoLocking": "1",
    }


def simulate(state, status, packages, more=()):
    """What `apt-get -s install` would do: whether it succeeds without a removal, what it installs as `name=version`, and what it says."""
    command = ["apt-get", "-s", "--no-install-recommends", *more]
    for key, value in options(state, status).items():
        command += ["-o", f"{key}={value}"]
    environment = {**os.environ, "LC_ALL": "C", "APT_CONFIG": "/dev/null"}
    run = subprocess.run(command + ["install", *packages], capture_output=True, text=True, env=environment)
    lines = run.stdout.splitlines()
    installed = {f"{found[1]}={found[2]}" for line in lines if (found := INSTALL.match(line))}
    removes = any(line.startswith("Remv ") for line in lines)
    return run.returncode == 0 and not removes, installed, run.stderr.strip()
