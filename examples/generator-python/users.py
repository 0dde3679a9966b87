"""Users and their SSH keys from a table.

```yaml
- id: team
  use: users
  at: base
  with:
    csv: |
      name,uid,full_name,groups,key
      ada,2001,Ada Lovelace,sudo,ssh-ed25519 AAAA… ada@laptop
```

systemd makes the users (sysusers.d) and their homes (tmpfiles.d); sshd finds their keys in `/etc/ssh/authorized_keys.d`, which only root
writes. The step runs late, so the users are there when it ends.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import table
from bootsplice_sdk import (
    ConfigError, Descriptor, Diagnostic, Generator, Instance, Locked, LockFile, Sink, Source, Summary, Target, log, max_output, pin,
    resource,
)

PIN = "users.csv"
LIMIT = 16 << 20
NAME = "50-bootsplice-users.conf"
SCHEMA = resource(__file__, "schema.json")
EXAMPLES = {"Two users": resource(__file__, "examples/table.json"), "A table elsewhere": resource(__file__, "examples/source.json")}
SSHD = "AuthorizedKeysFile .ssh/authorized_keys /etc/ssh/authorized_keys.d/%u\n"
APPLY = f"""\
set -e
systemd-sysusers /etc/sysusers.d/{NAME}
systemd-tmpfiles --create /etc/tmpfiles.d/{NAME}
systemctl try-reload-or-restart --no-block ssh.service sshd.service || true
"""


@dataclass
class Config:
    csv: str | None = None
    source: Source | None = None
    shell: str = "/bin/bash"


class Users(Generator[Config]):
    def describe(self) -> Descriptor:
        return Descriptor(
            id="users",
            version="0.1.0",
            title="Users",
            summary="Users and their SSH keys from a table.",
            schema=SCHEMA,
            examples=EXAMPLES,
            stage="late",
            fetch=["${config:/source/url}"],
            secrets=["/source/credential"],
        )

    def validate(self, target: Target | None, config: Config) -> Iterable[Diagnostic]:
        if (config.csv is None) == (config.source is None):
            yield Diagnostic("", "give `csv` or `source`", "one-table", "keep one of the two")
        if config.csv is not None:
            try:
                table.read(config.csv)
            except table.Fault as fault:
                yield Diagnostic("/csv", str(fault), "invalid-table")

    def resolve(self, target: Target, config: Config, previous: Locked | None) -> LockFile:
        if config.source is None:
            users, pins = table.read(config.csv or ""), []
        else:
            pinned, content = pin(PIN, config.source)
            users, pins = _fetched(content.text(LIMIT)), [pinned]
        log.info("read the table", users=len(users), keys=sum(len(user.keys) for user in users))
        return LockFile(pins=pins, max_output=max_output(lambda sink: write(users, config.shell, sink)))

    def generate(self, target: Target, config: Config, locked: Locked, instance: Instance | None, sink: Sink) -> Summary:
        text = config.csv if config.csv is not None else locked.open(PIN).text(LIMIT)
        users = table.read(text)
        write(users, config.shell, sink)
        return Summary(notes=[f"{len(users)} users: {', '.join(user.name for user in users)}"])


def write(users: list[table.User], shell: str, sink: Sink) -> None:
    """Everything that the users need."""
    accounts, homes = [], []
    for user in users:
        home = f"/home/{user.name}"
        accounts.append(f'u {user.name} {user.uid} "{user.full_name}" {home} {shell}')
        accounts.extend(f"m {user.name} {group}" for group in user.groups)
        homes.append(f"C {home} 0700 {user.name} {user.name} - /etc/skel")
        homes.append(f"Z {home} - {user.name} {user.name}")
        if user.keys:
            sink.file(f"/etc/ssh/authorized_keys.d/{user.name}", "\n".join([*user.keys, ""]))
    sink.file(f"/etc/sysusers.d/{NAME}", "\n".join([*accounts, ""]))
    sink.file(f"/etc/tmpfiles.d/{NAME}", "\n".join([*homes, ""]))
    sink.file(f"/etc/ssh/sshd_config.d/{NAME}", SSHD)
    sink.run(APPLY)


def _fetched(text: str) -> list[table.User]:
    try:
        return table.read(text)
    except table.Fault as fault:
        raise ConfigError("/source/url", str(fault), code="invalid-table") from None
