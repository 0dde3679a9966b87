//! Generators in other languages than Rust, through the host: installed like any other, run in a launch, their errors told with file and line.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result};
use bootsplice_tests::base::quiet;
use bootsplice_tests::{Host, places};
use serde_json::{Value, json};

use crate::disk::{points, unpacked};
use crate::place::{Place, committed, end, files, post, to_file, try_post};

const TABLE: &str = "name,uid,full_name,groups,key\nada,2001,Ada Lovelace,sudo,ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIE1kZTBhbmQxYW5kMmFuZDNhbmQ0YW5kNWFuZDZh ada@laptop\n";

/// A host with one example installed, which may fetch from the test's directory.
fn start(place: &Place, guest: &str) -> Result<Host> {
    let plugins = place.dir.path().join("plugins");
    fs::create_dir(&plugins)?;
    let component = places::target().join(format!("wasm-guests/{guest}.wasm"));
    fs::copy(&component, plugins.join(format!("{guest}.wasm")))
        .with_context(|| format!("{}: `cargo xtask build` builds it", component.display()))?;
    let grants = format!(
        "plugins = {plugins:?}\n{}[[grants]]\nurls = [\"file://{}/\"]\n",
        place.config(),
        place.dir.path().display()
    );
    let started = Instant::now();
    let host = Host::start(&place.state, &grants)?;
    eprintln!(
        "{guest}: {} bytes installed in {:.1} s",
        fs::metadata(&component)?.len(),
        started.elapsed().as_secs_f64()
    );
    Ok(host)
}

fn profile(generator: &str, with: &Value) -> String {
    json!({"name": "guest", "steps": [{"id": "work", "use": generator, "at": "base", "with": with}]}).to_string()
}

fn body(instance: &str) -> Value {
    let mut body = to_file(instance);
    body["profile"] = json!("guest");
    body
}

/// Everything that a committed launch put into the point `base`.
fn tree(place: &Place, host: &Host, instance: &str) -> Result<PathBuf> {
    let started = Instant::now();
    let id = post(host, &body(instance))?;
    committed(host, &id)?;
    eprintln!("launched in {:.1} s", started.elapsed().as_secs_f64());
    let disk = place.disk(instance);
    let (_, range) = points(&disk)?
        .into_iter()
        .find(|(name, _)| name.contains("base"))
        .context("the point base")?;
    let tar = place.dir.path().join(format!("{instance}.tar"));
    fs::write(&tar, unpacked(&disk, range)?)?;
    let tree = place.dir.path().join(instance);
    fs::create_dir(&tree)?;
    quiet(
        Command::new("tar")
            .arg("-xf")
            .arg(&tar)
            .arg("-C")
            .arg(&tree),
    )?;
    Ok(tree)
}

/// The text of the file that lies at `path` in the guest.
fn text(tree: &Path, path: &str) -> Result<String> {
    let every = files(tree)?;
    let found = every.iter().find(|file| file.ends_with(path));
    let file = found.with_context(|| format!("no {path} in {every:?}"))?;
    Ok(fs::read_to_string(file)?)
}

/// What a launch says that must fail, whether at once or in the end.
fn failure(host: &Host, instance: &str) -> Result<String> {
    let (status, answer) = try_post(host, &body(instance))?;
    if status >= 400 {
        return Ok(answer.to_string());
    }
    let launch = end(host, answer["id"].as_str().context("no id")?)?;
    assert_eq!(launch["state"], "failed", "{launch}");
    Ok(launch.to_string())
}

/// `PREFIX:LINE: WORDS` stands in a text.
fn has_line(text: &str, prefix: &str, words: &str) -> bool {
    text.split(prefix).skip(1).any(|rest| {
        let rest = rest.trim_start_matches(|letter: char| letter.is_ascii_digit());
        rest.starts_with(&format!(": {words}"))
    })
}

#[test]
fn a_generator_in_python_runs_in_a_launch_and_its_faults_name_file_and_line() -> Result<()> {
    let place = Place::new()?;
    let host = start(&place, "python")?;
    place.put_profile(&host, "guest", &profile("users", &json!({"csv": TABLE})))?;
    let tree = tree(&place, &host, "i-1")?;
    assert_eq!(
        text(&tree, "root/etc/sysusers.d/50-bootsplice-users.conf")?,
        "u ada 2001 \"Ada Lovelace\" /home/ada /bin/bash\nm ada sudo\n"
    );
    assert!(text(&tree, "root/etc/ssh/authorized_keys.d/ada")?.ends_with("ada@laptop\n"));
    let step = text(&tree, "step.json")?;
    assert!(step.contains("systemd-sysusers /etc/sysusers.d"), "{step}");

    let team = place.dir.path().join("team.csv");
    let source = json!({"source": {"url": format!("file://{}", team.display())}});
    place.put_profile(&host, "guest", &profile("users", &source))?;
    fs::write(&team, "name,uid,full_name,groups,key\nada,12,,,\n")?;
    let said = failure(&host, "i-2")?;
    assert!(said.contains("line 2: the uid `12` of ada"), "{said}");
    assert!(said.contains("/source/url"), "{said}");

    fs::write(&team, [0xff])?;
    let said = failure(&host, "i-3")?;
    assert!(
        has_line(&said, "users.py:", "UnicodeDecodeError: "),
        "{said}"
    );
    Ok(())
}

#[test]
fn a_generator_in_javascript_runs_in_a_launch_and_its_faults_name_file_and_line() -> Result<()> {
    let place = Place::new()?;
    let host = start(&place, "js")?;
    let vsix = place.dir.path().join("style.vsix");
    fs::write(&vsix, "PK\x03\x04 and so on")?;
    let extension = json!({"id": "acme.style", "url": format!("file://{}", vsix.display())});
    let with = |program: &str| {
        json!({
            "user": "ada",
            "program": program,
            "settings": {"editor.rulers": [80], "a/b": "Grüße 🦀"},
            "extensions": ["ms-python.python", extension],
        })
    };
    place.put_profile(&host, "guest", &profile("vscode", &with("code")))?;
    let tree = tree(&place, &host, "i-1")?;
    let home = "home/ada/.local/share/bootsplice/vscode";
    assert_eq!(
        text(&tree, &format!("{home}/extensions.list"))?,
        "ms-python.python\n./acme.style.vsix\n"
    );
    assert_eq!(
        text(&tree, &format!("{home}/acme.style.vsix"))?,
        "PK\x03\x04 and so on"
    );
    let step: Value = serde_json::from_str(&text(&tree, "step.json")?)?;
    let edit = &step["actions"][0]["action"]["edit"];
    assert_eq!(
        edit["file"], "~ada/.config/Code/User/settings.json",
        "{step}"
    );
    assert_eq!(edit["changes"][0]["value"], "Grüße 🦀", "{step}");

    fs::write(&vsix, "<html>")?;
    place.put_profile(&host, "guest", &profile("vscode", &with("codium")))?;
    let said = failure(&host, "i-2")?;
    assert!(has_line(&said, "vscode.js:", "Error: "), "{said}");

    let wrong = json!({"user": "ada", "extensions": ["python"]});
    let put = place.put_profile(&host, "guest", &profile("vscode", &wrong));
    let said = format!("{:?}", put.err().context("a wrong profile was taken")?);
    assert!(said.contains("/extensions/0"), "{said}");
    Ok(())
}

#[test]
fn a_generator_in_go_runs_in_a_launch_and_its_faults_name_file_and_line() -> Result<()> {
    let place = Place::new()?;
    let host = start(&place, "go")?;
    let metrics = place.dir.path().join("build.prom");
    fs::write(
        &metrics,
        "# HELP build_info of ours\nbuild_info{commit=\"abc\"} 1\n",
    )?;
    let url = format!("file://{}", metrics.display());
    let with = json!({
        "labels": {"role": "web", "instance": "{{instance:id}}"},
        "collectors": {"enable": ["systemd"], "disable": ["wifi"]},
        "metrics": [{"name": "build", "url": url}],
    });
    place.put_profile(&host, "guest", &profile("node-exporter", &with))?;
    let tree = tree(&place, &host, "i-1")?;
    let directory = "var/lib/prometheus/node-exporter";
    assert!(
        text(&tree, &format!("{directory}/bootsplice.prom"))?
            .ends_with("\nnode_labels{instance=\"i-1\",role=\"web\"} 1\n")
    );
    assert!(text(&tree, &format!("{directory}/build.prom"))?.contains("abc"));
    assert!(
        text(&tree, "etc/default/prometheus-node-exporter")?
            .contains(" --collector.systemd --no-collector.wifi\"")
    );
    assert!(text(&tree, "step.json")?.contains("prometheus-node-exporter.service"));

    fs::write(&metrics, "build_info one\n")?;
    let other = json!({"metrics": [{"name": "build", "url": url}]});
    place.put_profile(&host, "guest", &profile("node-exporter", &other))?;
    let said = failure(&host, "i-2")?;
    assert!(said.contains("line 1: `one` is no number"), "{said}");
    assert!(said.contains("/metrics/0/url"), "{said}");

    // A panic.
    fs::write(&metrics, [0xff])?;
    let said = failure(&host, "i-3")?;
    assert!(
        has_line(&said, "metrics.go:", "metrics are not UTF-8"),
        "{said}"
    );

    let wrong = json!({"labels": {"a-b": "c"}});
    let put = place.put_profile(&host, "guest", &profile("node-exporter", &wrong));
    let said = format!("{:?}", put.err().context("a wrong profile was taken")?);
    assert!(said.contains("/labels/a-b"), "{said}");
    Ok(())
}

#[test]
fn a_generator_in_c_runs_in_a_launch_and_its_faults_name_file_and_line() -> Result<()> {
    let place = Place::new()?;
    let host = start(&place, "c")?;
    let more = place.dir.path().join("hosts");
    fs::write(&more, "10.1.0.1 a b # both\n")?;
    let url = format!("file://{}", more.display());
    let with = json!({
        "own": {"domain": "x.example"},
        "entries": [{"address": "10.0.0.5", "names": ["db"]}],
        "source": {"url": url},
    });
    place.put_profile(&host, "guest", &profile("hosts", &with))?;
    let tree = tree(&place, &host, "i-1")?;
    let hosts = text(&tree, "root/etc/hosts")?;
    assert!(
        hosts.ends_with("\n127.0.1.1\ti-1.x.example i-1\n10.0.0.5\tdb\n10.1.0.1\ta b\n"),
        "{hosts}"
    );

    fs::write(&more, "10.1.0.1 a\nten b\n")?;
    let other = json!({"source": {"url": url}});
    place.put_profile(&host, "guest", &profile("hosts", &other))?;
    let said = failure(&host, "i-2")?;
    assert!(said.contains("line 2: `ten` is no address"), "{said}");
    assert!(said.contains("/source/url"), "{said}");

    fs::write(&more, [0])?;
    let said = failure(&host, "i-3")?;
    assert!(has_line(&said, "entries.c:", "!text.len"), "{said}");

    let wrong = json!({"entries": [{"address": "10.0.0.256", "names": ["db"]}]});
    let put = place.put_profile(&host, "guest", &profile("hosts", &wrong));
    let said = format!("{:?}", put.err().context("a wrong profile was taken")?);
    assert!(said.contains("/entries/0/address"), "{said}");
    Ok(())
}
