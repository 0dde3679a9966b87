"""Drives the library `oras`: URL TOKEN REPOSITORY VERB ARGUMENT. What it found goes to standard output as JSON."""

import json
import os
import sys

import oras.client

host, token, repository, verb, argument = sys.argv[1:]
client = oras.client.OrasClient(hostname=host, insecure=True, auth_backend="basic")
client.auth.set_basic_auth("anyone", token)
target = f"{host}/{repository}"

if verb == "push":
    os.chdir(os.path.dirname(argument))
    name = os.path.basename(argument)
    answer = client.push(
        target=target,
        files=[f"{name}:application/vnd.example.notes"],
        manifest_annotations={"org.example.kind": "notes"},
    )
    print(json.dumps({"status": answer.status_code}))
elif verb == "pull":
    print(json.dumps(client.pull(target=target, outdir=argument)))
elif verb == "manifest":
    print(json.dumps(client.get_manifest(target)))
elif verb == "tags":
    print(json.dumps(client.get_tags(f"{host}/{repository}")))
elif verb == "delete":
    print(json.dumps(client.delete_tags(f"{host}/{repository}", argument)))
