#!/usr/bin/python3
"""Compares our answers with apt's: compare.py OURS APT DIFFERENT GOAL [EXAMPLES]

Prints how many requests have identical answers, and the others by class. `UNSAT` and `NOPKG` agree when both say so. DIFFERENT
gets the requests that differ, with our answer, for accept.py. Exits 1 when less than GOAL percent of at least 400 requests are identical (of
fewer it says nothing), or when we alone call a request unsolvable or do not know its name.
"""
import collections
import sys

# From so many requests on the goal is judged.
JUDGED = 400


def read(place):
    with open(place) as lines:
        return dict(line.rstrip("\n").partition("\t")[::2] for line in lines)


def kind(ours, apts):
    if ours == apts:
        return "identical"
    if ours == "UNSAT":
        return "unsolvable for us alone"
    if apts == "UNSAT":
        return "unsolvable for apt alone"
    if "NOPKG" in (ours, apts):
        return "a name known to one alone"
    left, right = set(ours.split()), set(apts.split())
    if any(word.startswith("-") for word in right):
        return "apt removes"
    if left < right:
        return "apt installs more"
    if left > right:
        return "we install more"
    return "others"


def main():
    ours, apts = read(sys.argv[1]), read(sys.argv[2])
    goal, examples = float(sys.argv[4]), int(sys.argv[5]) if len(sys.argv) > 5 else 1
    classes = collections.defaultdict(list)
    for request, apt in apts.items():
        classes[kind(ours.get(request, "missing"), apt)].append(request)
    total = len(apts)
    for name, requests in sorted(classes.items(), key=lambda item: -len(item[1])):
        print(f"{len(requests):6} {100 * len(requests) / total:6.2f} %  {name}")
    for name, requests in sorted(classes.items()):
        if name == "identical":
            continue
        for request in requests[:examples]:
            left, right = set(ours.get(request, "").split()), set(apts[request].split())
            print(f"{name}: {request}\n    ours {' '.join(sorted(left - right))[:300]}\n    apt  {' '.join(sorted(right - left))[:300]}")
    alone = classes["unsolvable for us alone"] + classes["a name known to one alone"]
    with open(sys.argv[3], "w") as out:
        for name, requests in classes.items():
            if name != "identical":
                out.writelines(f"{request}\t{ours[request]}\n" for request in requests if request not in alone)
    under = total >= JUDGED and 100 * len(classes["identical"]) < goal * total
    sys.exit(1 if alone or under else 0)


main()
