#!/bin/sh
# Installs the packages that lie beside it, offline and exactly. Run by bootsplice's agent as root; run twice it changes nothing.
#
#   pool/       the package files
#   plan        one package a line: name architecture version file manual|auto
#   order       package files, each roughly after what it needs
#   remove      names that are to go, when that was allowed
#   debconf     answers, when there are some
#   hold        names to hold
set -eu
here=$BOOTSPLICE_APT
receipt=/var/lib/bootsplice/apt/receipt
conffiles=$BOOTSPLICE_CONFFILES
export DEBIAN_FRONTEND=noninteractive DEBCONF_NONINTERACTIVE_SEEN=true NEEDRESTART_MODE=a NEEDRESTART_SUSPEND=1
export APT_LISTCHANGES_FRONTEND=none LC_ALL=C.UTF-8

say() { printf '%s\n' "$*"; }

# Every planned package is installed in its planned version.
installed() {
  while read -r name architecture version _; do
    found=$(dpkg-query -W -f '${db:Status-Abbrev}|${Version}' "$name:$architecture" 2>/dev/null ||
      dpkg-query -W -f '${db:Status-Abbrev}|${Version}' "$name" 2>/dev/null || true)
    case $found in
      [ih]"i |$version") ;;
      *) say "$name:$architecture is ${found:-absent}, planned was $version"; return 1 ;;
    esac
  done < "$here/plan"
}

if [ -f "$receipt" ] && cmp -s "$here/plan" "$receipt" && installed > /dev/null; then
  say "all packages are installed"
  exit 0
fi

# What an interrupted run left half done.
dpkg --configure -a --force-confdef "--force-$conffiles"

if [ -s "$here/debconf" ]; then
  if command -v debconf-set-selections > /dev/null; then
    debconf-set-selections < "$here/debconf"
  else
    say "this guest has no debconf-set-selections: the answers are not used"
  fi
fi

files() { awk -v dir="$here/pool/" '{ print dir $4 }' "$here/plan"; }

if command -v apt-get > /dev/null; then
  # apt orders by the dependencies. Without sources it can neither fetch nor choose.
  set -- --yes --no-install-recommends --allow-downgrades \
    -o Dir::Etc::sourcelist=/dev/null -o Dir::Etc::sourceparts=/dev/null \
    -o Dir::Etc::preferences=/dev/null -o Dir::Etc::preferencesparts=/dev/null \
    -o APT::Get::Upgrade-By-Source-Package=false -o DPkg::Lock::Timeout=600 \
    -o Dpkg::Options::=--force-confdef -o "Dpkg::Options::=--force-$conffiles" -o Dpkg::Use-Pty=0
  if [ -s "$here/remove" ]; then
    # shellcheck disable=SC2046
    apt-get "$@" install $(files) $(sed 's/$/-/' "$here/remove")
  else
    # shellcheck disable=SC2046
    apt-get "$@" --no-remove install $(files)
  fi
else
  say "this guest has no apt-get: dpkg installs in the planned order"
  [ ! -s "$here/remove" ] || xargs dpkg --remove < "$here/remove"
  # What a package needs before it is unpacked comes with one pass or the other.
  for pass in 1 2 3 4 5 6 7 8; do
    (cd "$here/pool" && xargs dpkg --install --skip-same-version "--force-confdef" "--force-$conffiles" < "$here/order") && break
    say "pass $pass left packages that wait for others"
  done
  dpkg --configure -a --force-confdef "--force-$conffiles"
fi

if command -v apt-mark > /dev/null; then
  awk '$5 == "auto" { print $1 ":" $2 }' "$here/plan" | sed 's/:all$//' | xargs -r apt-mark auto > /dev/null
  awk '$5 == "manual" { print $1 ":" $2 }' "$here/plan" | sed 's/:all$//' | xargs -r apt-mark manual > /dev/null
  [ ! -s "$here/hold" ] || xargs apt-mark hold < "$here/hold" > /dev/null
fi

installed
broken=$(dpkg --audit)
[ -z "$broken" ] || { say "$broken"; exit 1; }
mkdir -p "${receipt%/*}"
cp "$here/plan" "$receipt.new"
sync "$receipt.new"
mv "$receipt.new" "$receipt"
rm -rf "$here/pool"
say "installed $(wc -l < "$here/plan") packages"
