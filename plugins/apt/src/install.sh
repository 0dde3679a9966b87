#!/bin/sh
# Installs the packages that lie beside it, offline and exactly. Run by bootsplice's agent as root; run twice it changes nothing.
#
#   pool/       the package files
#   plan        one package a line: name architecture version file manual|auto|keep
#   order       package files, each roughly after what it needs
#   remove      names that are to go (name:architecture), when that was allowed
#   debconf     answers, when there are some
#   hold        names to hold
#
# It leaves, in /var/lib/bootsplice/apt/POINT: receipt.json (what was installed), plan (by which the next run knows), log (what apt and dpkg said).
set -eu
here=$BOOTSPLICE_APT
conffiles=$BOOTSPLICE_CONFFILES
limit=${BOOTSPLICE_TIMEOUT:-300}
left=/var/lib/bootsplice/apt/${here##*/}
log=$left/log
policy=/usr/sbin/policy-rc.d
mark='# bootsplice: removed when the packages are installed'
export DEBIAN_FRONTEND=noninteractive DEBCONF_NONINTERACTIVE_SEEN=true NEEDRESTART_MODE=l NEEDRESTART_SUSPEND=1
export APT_LISTCHANGES_FRONTEND=none UCF_FORCE_CONFFOLD=1 LC_ALL=C.UTF-8
# dpkg's own default is to keep what was edited: confdef would win over confnew.
keep=--force-confdef
if [ "$conffiles" = confnew ]; then
  keep=--force-confnew
  unset UCF_FORCE_CONFFOLD
  export UCF_FORCE_CONFFNEW=1
fi

say() { printf '%s\n' "$*"; }

# Seconds since boot: the clock may be set while packages are installed.
seconds() {
  if [ -r /proc/uptime ]; then cut -d. -f1 /proc/uptime; else date +%s; fi
}
start=$(seconds)

# bounded PERCENT COMMAND...: ends it when that part of the step's time is over. It has nothing to read.
bounded() {
  rest=$((start + limit * $1 / 100 - $(seconds)))
  shift
  [ "$rest" -gt 0 ] || rest=1
  timeout -k 5 "$rest" "$@" < /dev/null
}

# What is not as planned: file name:architecture state version planned-version. Packages that should be gone have `-` for file and plan.
wrong() {
  [ -f "$here/remove" ] && remove=$here/remove || remove=/dev/null
  # shellcheck disable=SC2016
  dpkg-query -W -f '${Package} ${Architecture} ${db:Status-Status} ${db:Status-Eflag} ${Version}\n' |
    awk -v plan="$here/plan" -v remove="$remove" '
      { key = $1 ":" $2; state[key] = $3 ($4 == "ok" ? "" : "," $4); version[key] = $5 }
      END {
        while ((getline line < plan) > 0) {
          split(line, row, " "); key = row[1] ":" row[2]
          if (state[key] != "installed" || version[key] != row[3])
            print row[4], key, (state[key] == "" ? "absent" : state[key]), (version[key] == "" ? "-" : version[key]), row[3]
        }
        while ((getline line < remove) > 0)
          for (key in state)
            if (state[key] == "installed" && (key == line || index(key, line ":") == 1)) print "-", key, state[key], version[key], "-"
      }'
}

# Where packages stand that are not as planned, at most ten.
tell() {
  wrong | awk -v all="$(wc -l < "$here/plan")" '
    $1 == "-" { print "  " $2 " was to go and is still there"; next }
    { count++ }
    count <= 10 { print "  " $2 " is " $3 ($4 == "-" ? "" : " " $4) ", planned was " $5 }
    END { if (count > 10) print "  and " count - 10 " more"; print all - count " of " all " planned packages are installed" }'
}

# Which packages failed, and the last lines of what the first two said: a report has room for 4 KiB. $1: `running` when time ran out while something ran.
explain() {
  awk -v overran="${1:-}" -v names="$left/failed" '
    function tail(last,   at) {
      if (++tails > 2) return
      at = begin > last - 10 ? begin : last - 10
      for (; at <= last; at++) if (at > 0 && line[at] != "") print "  | " substr(line[at], 1, 120)
    }
    function clean(name) { sub(/.*\//, "", name); sub(/_.*/, "", name); sub(/:$/, "", name); return name }
    { line[NR] = $0 }
    /^(Setting up|Preparing to unpack|Unpacking|Removing|Purging|Processing triggers for) / {
      begin = NR; current = $0
      sub(/^(Setting up|Preparing to unpack|Unpacking|Removing|Purging configuration files for|Processing triggers for) /, "", current)
      sub(/ .*/, "", current); current = clean(current)
    }
    /^dpkg: error processing / { failing = clean($5); last = NR - 1; next }
    failing != "" {
      if ($0 !~ /dependency problem/ && !(failing in told)) {
        sub(/^ +/, "")
        if (++found <= 5) print "package `" failing "` failed: " substr($0, 1, 300)
        tail(last); told[failing]; print failing > names
      }
      failing = ""; begin = NR + 1
    }
    END {
      if (overran != "" && current != "") {
        print "package `" current "` did not come to its end in time"
        tail(NR); found++; print current > names
      }
      if (found > 5) print "and " found - 5 " more packages failed"
      if (!found) { begin = 0; tail(NR) }
    }' "$log"
}

# Names the failure, and leaves dpkg as consistent as it can be: what waits for nothing that failed is configured.
fail() {
  # On a full disk even this may fail: what can be told is.
  : > "$left/failed" || :
  explain "${1:-}" || :
  # shellcheck disable=SC2016
  others=$(dpkg-query -W -f '${binary:Package} ${db:Status-Status}\n' | awk -v names="$left/failed" '
    BEGIN { while ((getline name < names) > 0) failed[name] }
    $2 ~ /^(unpacked|half-configured|triggers-.*)$/ { name = $1; sub(/:.*/, "", name); if (!(name in failed)) print $1 }')
  if [ -n "$others" ]; then
    # shellcheck disable=SC2086
    bounded 95 dpkg --configure "$keep" "--force-$conffiles" $others >> "$log" 2>&1 || :
  fi
  rm -f "$left/failed"
  tell
  exit 1
}

# Who holds the package database: a process id.
holder() {
  for lock in /var/lib/dpkg/lock-frontend /var/lib/dpkg/lock /var/cache/apt/archives/lock; do
    [ -e "$lock" ] || continue
    awk -v inode="$(stat -c %i "$lock")" '$2 == "POSIX" { split($6, place, ":"); if (place[3] == inode) { print $5; exit } }' /proc/locks
  done | head -n 1
}

# Updates that the image started by itself end first.
wait_for_lock() {
  [ -r /proc/locks ] || return 0
  until=$(($(seconds) + limit / 2))
  while process=$(holder) && [ -n "$process" ]; do
    if [ "$(seconds)" -ge "$until" ]; then
      say "the package database is locked by process $process ($(cat "/proc/$process/comm" 2> /dev/null || say unknown)) for more than $((limit / 2)) s"
      exit 1
    fi
    sleep 1
  done
}

by_apt() {
  # apt orders by the dependencies. Without sources it can neither fetch nor choose.
  set -- --yes --no-install-recommends --allow-downgrades \
    -o Dir::Etc::sourcelist=/dev/null -o Dir::Etc::sourceparts=/dev/null \
    -o Dir::Etc::preferences=/dev/null -o Dir::Etc::preferencesparts=/dev/null \
    -o APT::Get::Upgrade-By-Source-Package=false -o APT::Sandbox::User=root -o DPkg::Lock::Timeout=60 \
    -o "Dpkg::Options::=$keep" -o "Dpkg::Options::=--force-$conffiles" -o Dpkg::Use-Pty=0
  files=$(awk -v dir="$here/pool/" '{ print dir $4 }' "$here/plan")
  if [ -s "$here/remove" ]; then
    # shellcheck disable=SC2046,SC2086
    bounded 80 apt-get "$@" install $files $(sed 's/$/-/' "$here/remove")
  else
    # shellcheck disable=SC2086
    bounded 80 apt-get "$@" --no-remove install $files
  fi
}

# Each pass unpacks what is not there and configures all. dpkg refuses what needs another configured before it is unpacked: that comes with the next pass.
by_dpkg() {
  say "this guest has no apt-get: dpkg installs"
  # shellcheck disable=SC2016
  held=$(dpkg-query -W -f '${Package}:${Architecture} ${db:Status-Want}\n' | awk '$2 == "hold" { print $1 }')
  held=$(wrong | awk -v held="$held" 'index("\n" held "\n", "\n" $2 "\n") { print "  " $2 }')
  if [ -n "$held" ]; then
    say "these packages are held and would change:" "$held"
    return 1
  fi
  set -- --abort-after=100000 --auto-deconfigure "$keep" "--force-$conffiles"
  if [ -s "$here/remove" ]; then
    # What replaces it comes after it.
    # shellcheck disable=SC2046
    bounded 80 dpkg "$@" --force-depends --remove $(cat "$here/remove") || return
  fi
  before=
  while now=$(wrong) && [ -n "$now" ]; do
    [ "$now" != "$before" ] || return 1
    before=$now
    files=$(say "$now" | awk 'NR == FNR { if ($4 != $5 || $3 !~ /^(unpacked|half-configured|triggers-[a-z]*)$/) todo[$1]; next } $1 in todo' - "$here/order")
    ended=0
    # shellcheck disable=SC2086
    [ -z "$files" ] || (cd "$here/pool" && bounded 80 dpkg "$@" --unpack $files) || ended=$?
    [ "$ended" -ge 124 ] || bounded 80 dpkg "$@" --configure -a || ended=$?
    [ "$ended" -lt 124 ] || return "$ended"
  done
}

# Why a package is there, as `apt autoremove` wants to know. apt called all of them asked for.
set_marks() {
  command -v apt-mark > /dev/null || return 0
  awk -v before="$left/auto" '
    BEGIN { while ((getline name < before) > 0) { sub(/:.*/, "", name); was[name] } }
    $5 == "auto" || $5 == "keep" && $1 in was { print $2 == "all" ? $1 : $1 ":" $2 }' "$here/plan" | xargs -r apt-mark auto > /dev/null
  awk '$5 == "manual" { print $2 == "all" ? $1 : $1 ":" $2 }' "$here/plan" | xargs -r apt-mark manual > /dev/null
}

set_holds() {
  [ -s "$here/hold" ] || return 0
  awk '{ print $1, "hold" }' "$here/hold" | dpkg --set-selections
}

mkdir -p "$left"
wait_for_lock
if cmp -s "$here/plan" "$left/plan" && [ -z "$(wrong)" ]; then
  set_holds
  rm -rf "$here/pool"
  say "all packages are installed"
  exit 0
fi
# What is written down of an earlier plan no longer holds.
rm -f "$left/plan"
: > "$log"
chmod 600 "$log"

# Where no systemd runs (a root that is mounted somewhere), packages would start daemons by their scripts.
if [ ! -d /run/systemd/system ]; then
  if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\n%s\nexit 101\n' "$mark" > "$policy.new"
    chmod 755 "$policy.new"
    mv "$policy.new" "$policy"
  fi
  trap 'if grep -qxF "$mark" "$policy" 2> /dev/null; then rm -f "$policy"; fi' EXIT
fi

# Before anything is configured, what an interrupted run left included.
if [ -s "$here/debconf" ]; then
  if command -v debconf-set-selections > /dev/null; then
    debconf-set-selections < "$here/debconf"
  else
    say "this guest has no debconf-set-selections: the answers are not used"
  fi
fi
sums=$(cd "$here/pool" && awk '{ print $4 }' "$here/plan" | xargs -r sha256sum)
if command -v apt-mark > /dev/null && [ ! -e "$left/auto" ]; then
  apt-mark showauto > "$left/auto.new"
  mv "$left/auto.new" "$left/auto"
fi
if [ -n "$(dpkg --audit)" ] || [ -n "$(ls /var/lib/dpkg/updates)" ]; then
  # A package that fails here is replaced or named below.
  bounded 40 dpkg --configure -a "$keep" "--force-$conffiles" > "$log" 2>&1 || :
fi

if command -v apt-get > /dev/null; then install=by_apt; else install=by_dpkg; fi
result=0
$install > "$log" 2>&1 || result=$?
case $result in
  0) ;;
  124 | 137) fail running ;;
  *) fail ;;
esac

set_marks
set_holds
if [ -n "$(wrong)" ]; then
  say "the result is not what was planned"
  tell
  exit 1
fi
broken=$(dpkg --audit)
[ -z "$broken" ] || { say "dpkg finds faults: $broken"; exit 1; }
say "$sums" | awk -v plan="$here/plan" '
  { sum[$2] = $1 }
  END {
    printf "{\"v\":1,\"packages\":["
    while ((getline line < plan) > 0) {
      split(line, row, " ")
      printf "%s\n{\"name\":\"%s\",\"version\":\"%s\",\"architecture\":\"%s\",\"sha256\":\"%s\"}", separator, row[1], row[3], row[2], sum[row[4]]
      separator = ","
    }
    print "\n]}"
  }' > "$left/receipt.new"
cp "$here/plan" "$left/plan.new"
sync "$left/receipt.new" "$left/plan.new"
mv "$left/receipt.new" "$left/receipt.json"
mv "$left/plan.new" "$left/plan"
rm -rf "$here/pool" "$left/auto"
say "installed $(wc -l < "$here/plan") packages"
