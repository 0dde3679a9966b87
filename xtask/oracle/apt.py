#!/usr/bin/python3
"""Asks apt (python-apt) what it would install, for comparison with our answers.

apt.py STATE STATUS REQUESTS ANSWERS [recommends]

STATE and STATUS are as in common.py. REQUESTS has one request a
line (packages between blanks); ANSWERS gets the request, a tab, and what is installed or upgraded as `name=version …` in order (removals as
`-name`), UNSAT, or NOPKG. The marks are cleared before each request: otherwise they would accumulate. Timings go to standard error.
"""
import sys
import time

import apt_pkg

from common import options


def configure(state, status, recommends):
    apt_pkg.init_config()
    for key, value in options(state, status).items():
        apt_pkg.config.set(key, value)
    apt_pkg.config.set("APT::Install-Recommends", "true" if recommends else "false")
    apt_pkg.config.set("APT::Install-Suggests", "false")
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
    state, status, requests, answers = sys.argv[1:5]
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
