#!/usr/bin/python3
"""Asks apt (python-apt) what it would install, for comparison with our answers.

apt.py STATE STATUS REQUESTS ANSWERS [recommends]

STATE is a directory with lists/ (what `apt-get update` fetched) and room for caches; STATUS a dpkg status file. REQUESTS has one request a
line (packages between blanks); ANSWERS gets the request, a tab, and what is installed or upgraded as `name=version …` in order (removals as
`-name`), UNSAT, or NOPKG. The marks are cleared before each request: otherwise they would accumulate. Timings go to standard error.
"""
import os
import sys
import time

import apt_pkg


def configure(state, status, recommends):
    apt_pkg.init_config()
    states = os.path.join(state, "extended_states")
    open(states, "a").close()
    for key, value in {
        "Dir::State::lists": os.path.join(state, "lists"),
        "Dir::State::status": status,
        "Dir::State::extended_states": states,
        "Dir::Cache": os.path.join(state, "cache"),
        # Some images blank these names, and every request would then build the cache again.
        "Dir::Cache::pkgcache": "pkgcache.bin",
        "Dir::Cache::srcpkgcache": "srcpkgcache.bin",
        "Dir::Etc::preferences": "/dev/null",
        "Dir::Etc::preferencesparts": "/dev/null",
        "APT::Install-Recommends": "true" if recommends else "false",
        "APT::Install-Suggests": "false",
    }.items():
        apt_pkg.config.set(key, value)
    apt_pkg.init_system()


def package(cache, marks, name):
    """The package of a name: itself, or the only provider of a virtual one."""
    try:
        found = cache[name]
    except KeyError:
        return None
    if marks.get_candidate_ver(found) is not None:
        return found
    owners = {provided[2].parent_pkg.name for provided in found.provides_list}
    return found.provides_list[0][2].parent_pkg if len(owners) == 1 else None


def answer(cache, marks, packages, names):
    marks.init()
    resolver = apt_pkg.ProblemResolver(marks)
    for name in names:
        wanted = package(cache, marks, name)
        if wanted is None:
            return "NOPKG"
        resolver.clear(wanted)
        resolver.protect(wanted)
        marks.mark_install(wanted, True, True)
    if marks.broken_count > 0:
        try:
            resolver.resolve(True)
        except SystemError:
            return "UNSAT"
        if marks.broken_count > 0:
            return "UNSAT"
    installed, removed = [], []
    available, present = packages
    for found in filter(marks.marked_install, available):
        installed.append(f"{found.name}={marks.get_candidate_ver(found).ver_str}")
    for found in present:
        if marks.marked_upgrade(found):
            installed.append(f"{found.name}={marks.get_candidate_ver(found).ver_str}")
        elif marks.marked_delete(found):
            removed.append("-" + found.name)
    return " ".join(sorted(installed) + sorted(removed))


def main():
    # apt takes relative places as below its own directories.
    state, status, requests, answers = map(os.path.abspath, sys.argv[1:5])
    configure(state, status, sys.argv[5:] == ["recommends"])
    started = time.time()
    cache = apt_pkg.Cache(None)
    marks = apt_pkg.DepCache(cache)
    print(f"opened in {time.time() - started:.2f} s", file=sys.stderr)
    packages = [found for found in cache.packages if found.has_versions]
    present = [found for found in packages if found.current_ver]
    available = [found for found in packages if not found.current_ver]
    times = []
    with open(requests) as lines, open(answers, "w") as out:
        for line in lines:
            names = line.split()
            started = time.time()
            out.write(" ".join(names) + "\t" + answer(cache, marks, (available, present), names) + "\n")
            out.flush()
            times.append(time.time() - started)
    times.sort()
    p50, p99 = times[len(times) // 2], times[len(times) * 99 // 100]
    print(f"{len(times)} requests: p50 {p50 * 1000:.1f} ms, p99 {p99 * 1000:.1f} ms", file=sys.stderr)


main()
