#!/usr/bin/python3
"""libsolv in one process: the base and the indexes are loaded once, then each line of names on standard input is solved.

libsolv.py ROOT PACKAGES…    ROOT/var/lib/dpkg/status is the base, PACKAGES are indexes as text

Answers one line a request: seconds of the solve, packages that the base lacks; `-1 WHY` for one that cannot be solved.
"""
import sys
import time

import solv

root, indexes = sys.argv[1], sys.argv[2:]
pool = solv.Pool()
pool.setdisttype(solv.Pool.DISTTYPE_DEB)
pool.setarch("amd64")
pool.set_rootdir(root)
installed = pool.add_repo("@System")
assert installed.add_debdb(solv.Repo.REPO_USE_ROOTDIR), pool.errstr
pool.installed = installed
for index in indexes:
    repository = pool.add_repo(index)
    assert repository.add_debpackages(solv.xfopen(index)), pool.errstr
pool.addfileprovides()
pool.createwhatprovides()
print("ready", flush=True)
for line in sys.stdin:
    begin = time.perf_counter()
    jobs = []
    for name in line.split():
        found = pool.select(name, solv.Selection.SELECTION_NAME)
        assert not found.isempty(), f"no package {name}"
        jobs += found.jobs(solv.Job.SOLVER_INSTALL)
    solver = pool.Solver()
    solver.set_flag(solv.Solver.SOLVER_FLAG_IGNORE_RECOMMENDED, 1)
    problems = solver.solve(jobs)
    took = time.perf_counter() - begin
    if problems:
        print(-1, str(problems[0]).replace("\n", " "), flush=True)
    else:
        print(f"{took:.6f}", len(solver.transaction().newsolvables()), flush=True)
