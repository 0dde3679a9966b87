//! Pushed plugins through the host: namespaces, versions that stay, what is refused, yanks, usage, upgrades, grants.

pub mod push;

use std::fs;
use std::io::Read as _;
use std::process::Command;

use anyhow::{Context, Result};
use bootsplice_tests::Host;
use serde_json::{Value, json};

use self::push::{
    Answer, built_in, digest, manifest, patched, push, send, timers, timers_as, token,
};
use crate::disk::{points, unpacked};
use crate::place::{Place, committed, get, post, to_file};
use crate::wire::{ask, open};

/// What a profile with `timers` says.
fn jobs() -> Value {
    json!({"timers": {"backup": "daily | root | /usr/local/bin/backup"}})
}

fn profile(name: &str, generator: &str, with: &Value) -> String {
    json!({"name": name, "steps": [{"id": "work", "use": generator, "at": "base", "with": with}]})
        .to_string()
}

/// Saves a profile with a token and gives the answer.
fn put(host: &Host, token: &str, name: &str, generator: &str, with: &Value) -> Result<Answer> {
    let (path, body) = (
        format!("/v1/profiles/{name}"),
        profile(name, generator, with),
    );
    as_bearer(host, token, &format!("PUT {path}"), &body)
}

pub fn as_bearer(host: &Host, token: &str, head: &str, body: &str) -> Result<Answer> {
    let mut found = open(host, token, head, &[], body)?;
    let mut text = String::new();
    found.reader.read_to_string(&mut text)?;
    Ok(Answer {
        status: found.status,
        location: None,
        body: text,
    })
}

fn good(answer: &Answer) {
    assert!((200..300).contains(&answer.status), "{answer:?}");
}

fn refused(answer: &Answer, word: &str) {
    assert!((400..500).contains(&answer.status), "{answer:?}");
    assert!(answer.body.contains(word), "{word}: {answer:?}");
}

/// The command's standard output, which must be a success.
fn said(command: &mut Command) -> Result<String> {
    let output = command.output()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let wrong = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}{wrong}");
    Ok(text)
}

fn body(instance: &str, profile: &str) -> Value {
    let mut body = to_file(instance);
    body["profile"] = json!(profile);
    body
}

/// Whether the point `base` of a launched volume holds some text.
fn holds(place: &Place, instance: &str, text: &str) -> Result<bool> {
    let disk = place.disk(instance);
    let all = points(&disk)?;
    let (_, range) = all
        .into_iter()
        .find(|(name, _)| name.contains("base"))
        .context("the point base")?;
    let tar = unpacked(&disk, range)?;
    Ok(tar.windows(text.len()).any(|part| part == text.as_bytes()))
}

#[test]
fn a_push_is_one_namespaces_own_and_stands_in_for_nothing_else() -> Result<()> {
    let place = Place::new()?;
    let host = place.start()?;
    let acme = token(&host, "acme", &["acme"])?;
    let rival = token(&host, "rival", &["rival"])?;
    let (one, nine) = (timers_as("0.2.0")?, timers_as("9.9.9")?);

    good(&push(&host, &acme, "acme/timers", "0.2.0", &one)?);
    // Neither another's namespace, nor one that nobody was given, nor a name without any.
    for repository in ["acme/timers", "nobody/timers", "timers"] {
        let answer = push(&host, &rival, repository, "9.9.9", &nine)?;
        assert!(
            matches!(answer.status, 400..=404),
            "{repository}: {answer:?}"
        );
    }
    good(&push(&host, &rival, "rival/timers", "9.9.9", &nine)?);

    // What has no namespace is the host's own, whatever is pushed.
    let saved = put(&host, &acme, "own", "timers", &jobs())?;
    good(&saved);
    assert!(saved.body.contains(&digest(&timers()?)), "{saved:?}");
    let saved = put(&host, &acme, "theirs", "acme/timers", &jobs())?;
    assert!(saved.body.contains(&digest(&one)), "{saved:?}");
    // A private namespace is not there for others, and is when it is shared.
    refused(
        &put(&host, &rival, "peek", "acme/timers", &jobs())?,
        "unknown-generator",
    );
    let seen = as_bearer(&host, &rival, "GET /v1/plugins/acme/timers/0.2.0", "")?;
    assert_eq!(seen.status, 404, "{seen:?}");
    let mut share = host.command()?;
    said(share.args(["plugin", "namespace", "acme", "--share", "rival"]))?;
    good(&put(&host, &rival, "peek", "acme/timers", &jobs())?);

    // A version is what it was first: also when it is pushed again, and when a tag beside it moves.
    let other = patched(&one, "Persistent=true", "Persistent=fake")?;
    refused(
        &push(&host, &acme, "acme/timers", "0.2.0", &other)?,
        "0.2.0",
    );
    refused(
        &push(&host, &acme, "acme/timers", "stable", &other)?,
        "0.2.0",
    );
    good(&push(&host, &acme, "acme/timers", "0.2.0", &one)?);
    good(&push(&host, &acme, "acme/timers", "stable", &one)?);
    good(&put(&host, &acme, "tagged", "acme/timers@stable", &jobs())?);

    let list = said(host.command()?.args(["plugin", "list"]))?;
    assert!(
        !list.contains("rival/timers"),
        "the administrator's tenant does not see it: {list}"
    );
    let list = as_bearer(&host, &acme, "GET /v1/plugins", "")?;
    let list: Value = serde_json::from_str(&list.body)?;
    let mine = list["plugins"].as_array().context("plugins")?;
    let mine = mine
        .iter()
        .find(|one| one["name"] == "acme/timers")
        .context("not listed")?;
    assert_eq!(mine["state"], "active");
    assert_eq!(mine["pushed_by"]["tenant"], "acme");
    assert_eq!(mine["tags"], json!(["stable"]));
    Ok(())
}

#[test]
fn what_lies_about_itself_or_breaks_its_own_rules_is_refused_with_every_fault() -> Result<()> {
    let place = Place::new()?;
    let host = place.start()?;
    let acme = token(&host, "acme", &["acme"])?;
    let honest = timers()?;
    let example = "daily | root | /usr/local/bin/backup --all";
    for (repository, tag, component, word) in [
        ("acme/other", "0.1.0", honest.clone(), "other-id"),
        ("acme/timers", "0.3.0", honest.clone(), "other-version"),
        (
            "acme/timers",
            "0.1.0",
            patched(&honest, example, &example.replace("/usr", "?usr"))?,
            "invalid-line",
        ),
        (
            "acme/timers",
            "0.1.0",
            patched(&honest, "\"minProperties\": 1", "\"minProperties\": 9")?,
            "breaks its own schema",
        ),
        (
            "acme/timers",
            "0.1.0",
            patched(&honest, "draft/2020-12/schema", "draft/2019-09/schema")?,
            "2020-12",
        ),
        (
            "acme/timers",
            "0.1.0",
            b"\0asm\x01\0\0\0".to_vec(),
            "core module",
        ),
        (
            "acme/timers",
            "0.1.0",
            b"\x7fELF and so on".to_vec(),
            "no WebAssembly",
        ),
    ] {
        let answer = push(&host, &acme, repository, tag, &component)?;
        refused(&answer, word);
        assert!(answer.status < 500, "{answer:?}");
    }
    // Of several tags in one push all are taken or none.
    let manifest = manifest(&honest);
    let both = format!(
        "/v2/acme/timers/manifests/{}?tag=0.1.0&tag=stable&tag=0.3.0",
        digest(manifest.as_bytes())
    );
    let kind = "application/vnd.oci.image.manifest.v1+json";
    let answer = send(&host, &acme, "PUT", &both, kind, manifest.as_bytes())?;
    refused(&answer, "other-version");
    let list = as_bearer(&host, &acme, "GET /v1/plugins", "")?;
    assert!(!list.body.contains("acme/"), "{list:?}");
    let left: Vec<_> = fs::read_dir(place.state.join("plugins"))?.collect();
    let built_in = list.body.matches("\"digest\"").count();
    assert_eq!(
        left.len(),
        2 * built_in,
        "a refused plugin leaves nothing behind"
    );
    Ok(())
}

#[test]
fn a_yanked_release_runs_on_where_it_is_pinned_and_an_upgrade_shows_what_it_changes() -> Result<()>
{
    let place = Place::new()?;
    let host = place.start()?;
    let admin = host.token()?;
    let old = timers_as("0.2.0")?;
    let new = patched(&timers_as("0.3.0")?, "Persistent=true", "Persistent=fake")?;
    good(&push(&host, &admin, "acme/timers", "0.2.0", &old)?);
    good(&put(&host, &admin, "fleet", "acme/timers", &jobs())?);
    good(&put(&host, &admin, "exact", "acme/timers@0.2.0", &jobs())?);
    let id = post(&host, &body("i-1", "fleet"))?;
    committed(&host, &id)?;
    good(&push(&host, &admin, "acme/timers", "0.3.0", &new)?);

    // A saved revision is what it was when it was saved.
    let id = post(&host, &body("i-2", "fleet"))?;
    committed(&host, &id)?;
    assert!(holds(&place, "i-2", "Persistent=true")?);
    let used = said(
        host.command()?
            .args(["plugin", "usage", "acme/timers@0.2.0"]),
    )?;
    for word in ["fleet@1", "exact@1", &id] {
        assert!(used.contains(word), "{word}: {used}");
    }
    let manifest = digest(manifest(&old).as_bytes());
    let gone = format!("/v2/acme/timers/manifests/{manifest}");
    refused(&send(&host, &admin, "DELETE", &gone, "", b"")?, "fleet@1");
    let version = "/v2/acme/timers/manifests/0.2.0";
    refused(&send(&host, &admin, "DELETE", version, "", b"")?, "fleet@1");

    let mut yank = host.command()?;
    said(yank.args([
        "plugin",
        "yank",
        "acme/timers@0.2.0",
        "--reason",
        "forgets a job",
    ]))?;
    let again = put(
        &host,
        &admin,
        "exact",
        "acme/timers@0.2.0",
        &json!({"timers": {"x": "daily | root | /bin/x"}}),
    )?;
    refused(&again, "yanked-generator");
    assert!(again.body.contains("forgets a job"), "{again:?}");
    let id = post(&host, &body("i-3", "fleet"))?;
    committed(&host, &id)?;
    let launch = get(&host, &format!("/v1/launches/{id}"))?;
    assert!(
        launch["warnings"][0]
            .as_str()
            .is_some_and(|text| text.contains("forgets a job")),
        "{launch}"
    );
    let events = said(host.command()?.args(["launch", "timeline", &id]))?;
    assert!(events.contains("warned"), "{events}");
    let plan = said(host.command()?.args([
        "plan",
        "--instance",
        "i-9",
        "--profile",
        "fleet",
        "--volume",
        "base",
    ]))?;
    assert!(
        plan.contains("warning: step `work` uses `acme/timers@0.2.0`"),
        "{plan}"
    );

    let shown = said(host.command()?.args([
        "plugin",
        "upgrade",
        "acme/timers",
        "--dry-run",
        "--volume",
        "base",
    ]))?;
    assert!(
        shown.contains("acme/timers@0.2.0 -> acme/timers\n"),
        "{shown}"
    );
    assert!(
        shown.contains("~ /etc/systemd/system/backup.timer"),
        "{shown}"
    );
    assert!(
        !shown.contains("backup.service"),
        "what stays the same is not told: {shown}"
    );
    let fleet = get(&host, "/v1/profiles/fleet")?;
    assert_eq!(fleet["version"], 1, "a dry run saves nothing");
    let done = said(host.command()?.args(["plugin", "upgrade", "acme/timers"]))?;
    for word in [
        "saved as fleet@2",
        "saved as exact@2",
        "-> acme/timers@0.3.0",
    ] {
        assert!(done.contains(word), "{word}: {done}");
    }
    let fleet = get(&host, "/v1/profiles/fleet")?;
    assert_eq!(fleet["plugins"]["work"], json!(digest(&new)));
    let id = post(&host, &body("i-4", "fleet"))?;
    committed(&host, &id)?;
    assert!(holds(&place, "i-4", "Persistent=fake")?);
    let id = post(&host, &body("i-5", "fleet@1"))?;
    committed(&host, &id)?;
    assert!(
        holds(&place, "i-5", "Persistent=true")?,
        "the old revision keeps its plugin"
    );
    let nothing = said(
        host.command()?
            .args(["plugin", "upgrade", "acme/timers", "--dry-run"]),
    )?;
    assert!(nothing.contains("no profile is pinned"), "{nothing}");
    Ok(())
}

#[test]
fn a_pushed_plugin_reaches_what_an_operator_granted_its_bytes_and_nothing_else() -> Result<()> {
    let place = Place::new()?;
    let shared = place.dir.path().join("shared");
    fs::create_dir(&shared)?;
    fs::write(shared.join("plan.txt"), "Ship it.\n")?;
    let url = format!("file://{}/", shared.display());
    // The tenant may fetch it, and its own generators do.
    let config = format!("{}[[grants]]\nurls = [{url:?}]\n", place.config());
    let host = Host::start(&place.state, &config)?;
    let admin = host.token()?;
    let source = json!({"sources": [{"url": format!("{url}plan.txt"), "to": "/srv/plan.txt"}]});
    good(&put(&host, &admin, "own", "data", &source)?);
    committed(&host, &post(&host, &body("i-0", "own"))?)?;

    let data = built_in("data")?;
    good(&push(&host, &admin, "acme/data", "0.1.0", &data)?);
    good(&put(&host, &admin, "pushed", "acme/data", &source)?);
    let plan =
        json!({"instance": {"id": "i-1"}, "profile": "pushed", "volume": "base"}).to_string();
    let planned = host.request("POST", "/v1/plans", &plan)?;
    assert_eq!(planned.status, 422, "{planned:?}");
    assert!(planned.body.contains("denied"), "{planned:?}");
    // Another place does not help, and one that the operator's configuration does not know is refused.
    let mut grant = host.command()?;
    let grant = grant.args([
        "plugin",
        "grant",
        "acme/data@0.1.0",
        "--fetch",
        "file:///etc/",
    ]);
    assert_eq!(grant.output()?.status.code(), Some(7));
    let mut grant = host.command()?;
    let shown = said(grant.args([
        "plugin",
        "grant",
        "acme/data@0.1.0",
        "--fetch",
        &url,
        "--memory",
        "64MiB",
        "--time",
        "30s",
    ]))?;
    assert!(shown.contains(&url), "{shown}");
    let planned = host.request("POST", "/v1/plans", &plan)?;
    assert_eq!(planned.status, 200, "{planned:?}");
    let planned: Value = serde_json::from_str(&planned.body)?;
    let points = planned["points"].as_array().context("points")?;
    let step = points.iter().find_map(|point| point["steps"].get(0));
    let access = &step.context("no step is planned")?["access"];
    assert_eq!(access["wanted"]["fetch"], json!([format!("{url}plan.txt")]));
    assert_eq!(access["granted"]["fetch"], json!([url]));
    assert_eq!(
        access["effective"]["fetch"],
        json!([format!("{url}plan.txt")])
    );
    assert_eq!(
        (&access["memory"], &access["time"]),
        (&json!(64 << 20), &json!(30))
    );
    committed(&host, &post(&host, &body("i-1", "pushed"))?)?;
    // The same bytes in another namespace have nothing.
    good(&push(&host, &admin, "other/data", "0.1.0", &data)?);
    good(&put(&host, &admin, "elsewhere", "other/data", &source)?);
    let plan =
        json!({"instance": {"id": "i-2"}, "profile": "elsewhere", "volume": "base"}).to_string();
    let planned = host.request("POST", "/v1/plans", &plan)?;
    assert_eq!(planned.status, 422, "{planned:?}");

    // Secrets: named by the profile is not granted by the operator.
    let script = built_in("script")?;
    good(&push(&host, &admin, "acme/script", "0.1.0", &script)?);
    let secret = place.dir.path().join("secret");
    fs::write(&secret, "canary")?;
    said(
        host.command()?
            .args(["secret", "put", "api-key", "--file"])
            .arg(&secret),
    )?;
    let with = json!({"interpreter": "/bin/sh", "text": "true", "secrets": {"KEY": "api-key"}});
    good(&put(&host, &admin, "secretive", "acme/script", &with)?);
    let plan =
        json!({"instance": {"id": "i-3"}, "profile": "secretive", "volume": "base"}).to_string();
    let planned = host.request("POST", "/v1/plans", &plan)?;
    assert_eq!(planned.status, 422, "{planned:?}");
    assert!(planned.body.contains("secret-not-granted"), "{planned:?}");
    let mut grant = host.command()?;
    said(grant.args([
        "plugin",
        "grant",
        "acme/script@0.1.0",
        "--secret",
        "api-key",
    ]))?;
    let planned = host.request("POST", "/v1/plans", &plan)?;
    assert_eq!(planned.status, 200, "{planned:?}");
    // What it would run in the guest is shown, word for word, before anything runs.
    assert!(planned.body.contains("/bin/sh"), "{planned:?}");
    Ok(())
}

#[test]
fn a_start_reads_no_file_that_it_knows() -> Result<()> {
    let place = Place::new()?;
    let plugins = place.dir.path().join("plugins");
    fs::create_dir(&plugins)?;
    let file = plugins.join("timers.wasm");
    fs::write(&file, timers()?)?;
    let config = format!("plugins = {plugins:?}\n{}", place.config());
    Host::start(&place.state, &config)?.kill();
    // Other bytes under the same size, time and inode: whoever read them would refuse them.
    let facts = fs::metadata(&file)?;
    fs::write(&file, vec![0; facts.len() as usize])?;
    let handle = fs::OpenOptions::new().write(true).open(&file)?;
    handle.set_modified(facts.modified()?)?;
    drop(handle);
    let host = Host::start(&place.state, &config)?;
    let answer = ask(&host, "GET /v1/plugins/-/timers/-", &[], "")?;
    assert_eq!(answer.status, 200);
    drop(host);
    // A new time: it is read again, and refused.
    fs::write(&file, vec![0; facts.len() as usize])?;
    assert!(Host::start(&place.state, &config).is_err());
    Ok(())
}
