//! wkg against the registry of a real host, unchanged; and openssl on signatures that lie in it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use bootsplice_tests::base::quiet;
use bootsplice_tests::{Host, places};
use serde_json::Value;

use crate::place::{Place, bootsplice};
use crate::plugins::push::send;

const COMPONENT: &str = "acme/timers:0.1.0";
const PROFILE: &str = r#"
name: timers
steps:
  - id: jobs
    use: acme/timers@0.1.0
    at: base
    with:
      timers: { backup: "daily | root | /usr/bin/true" }
"#;

fn wkg(host: &Host, directory: &Path) -> Result<Command> {
    let mut wkg = Command::new(places::target().join("tools/bin/wkg"));
    wkg.current_dir(directory)
        .env("HOME", directory)
        .env("WKG_OCI_INSECURE", host.address().to_string())
        .env("WKG_OCI_USERNAME", "anyone")
        .env("WKG_OCI_PASSWORD", host.token()?);
    Ok(wkg)
}

/// What a command prints, as JSON.
fn told(command: &mut Command) -> Result<Value> {
    let output = command.output().with_context(|| format!("{command:?}"))?;
    if !output.status.success() {
        bail!("{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}

fn push(host: &Host) -> Result<Value> {
    let mut push = host.command()?;
    push.args(["--output", "json", "plugin", "push"])
        .arg(places::example())
        .arg(COMPONENT);
    told(&mut push)
}

fn same(one: &Path, other: &Path) -> Result<()> {
    if fs::read(one)? != fs::read(other)? {
        bail!("{} and {} differ", one.display(), other.display());
    }
    Ok(())
}

#[test]
fn wkg_pushes_pulls_and_gets_components_without_knowing_us() -> Result<()> {
    let place = Place::new()?;
    let host = place.start()?;
    let directory = place.dir.path();
    let at = |name: &str| -> PathBuf { directory.join(name) };
    let reference = format!("{}/{COMPONENT}", host.address());
    quiet(
        wkg(&host, directory)?
            .args(["oci", "push", &reference])
            .arg(places::example()),
    )?;
    quiet(
        wkg(&host, directory)?
            .args(["oci", "pull", &reference, "-o"])
            .arg(at("pulled.wasm")),
    )?;
    same(&at("pulled.wasm"), &places::example())?;
    // By its package name: the host says at a well-known place where its registry is.
    let config = format!(
        "default_registry = \"{0}\"\n[registry.\"{0}\".oci]\nprotocol = \"http\"\nauth = {{ username = \"anyone\", password = \"{1}\" }}\n",
        host.address(),
        host.token()?
    );
    fs::write(at("wkg.toml"), config)?;
    quiet(
        wkg(&host, directory)?
            .args(["get", "acme:timers@0.1.0", "--format", "wasm", "--config"])
            .arg(at("wkg.toml"))
            .arg("-o")
            .arg(at("got.wasm")),
    )?;
    same(&at("got.wasm"), &places::example())?;
    // What a client of ours would have pushed is the same component: profiles can use it.
    let list: Value = told(host.command()?.args(["--output", "json", "plugin", "list"]))?;
    assert!(list.to_string().contains("timers"), "{list}");
    Ok(())
}

/// A hundred signatures that nobody made, in front of the good one.
fn crowd(host: &Host, signed: &Value) -> Result<()> {
    let digest = signed["manifest"].as_str().context("a digest")?;
    let path = format!("/v2/acme/timers/manifests/{}.sig", digest.replace(':', "-"));
    let mut sheet: Value = serde_json::from_str(&host.request("GET", &path, "")?.body)?;
    let good = sheet["layers"][0].clone();
    let layers = sheet["layers"].as_array_mut().context("layers")?;
    for number in 0..100 {
        let mut other = good.clone();
        other["annotations"]["dev.cosignproject.cosign/signature"] = format!("{number:04}").into();
        layers.insert(0, other);
    }
    let kind = "application/vnd.oci.image.manifest.v1+json";
    let body = sheet.to_string();
    let answer = send(host, &host.token()?, "PUT", &path, kind, body.as_bytes())?;
    assert_eq!(answer.status, 201, "{answer:?}");
    Ok(())
}

#[test]
fn an_unsigned_component_is_used_by_no_new_profile_until_both_keys_have_signed_and_openssl_agrees()
-> Result<()> {
    let place = Place::new()?;
    let directory = place.dir.path();
    let key = |name: &str, half: &str| directory.join(format!("{name}.{half}"));
    // One key of ours, one of openssl's.
    quiet(bootsplice(&["plugin", "keygen"]).arg(directory.join("ada")))?;
    quiet(
        Command::new("openssl")
            .args(["genpkey", "-algorithm", "ed25519", "-out"])
            .arg(key("grace", "key")),
    )?;
    quiet(
        Command::new("openssl")
            .args(["pkey", "-pubout", "-in"])
            .arg(key("grace", "key"))
            .arg("-out")
            .arg(key("grace", "pub")),
    )?;
    let policy = format!(
        "[[signatures]]\nnamespace = \"acme\"\nkeys = [{:?}, {:?}]\n",
        key("ada", "pub"),
        key("grace", "pub")
    );
    let host = Host::start(&place.state, &format!("{}{policy}", place.config()))?;
    push(&host)?;
    let profile = directory.join("timers.yaml");
    fs::write(&profile, PROFILE)?;
    let put = || -> Result<std::process::Output> {
        let mut put = host.command()?;
        put.args(["profile", "put", "timers", "--file"])
            .arg(&profile);
        Ok(put.output()?)
    };
    let sign = |name: &str| -> Result<Value> {
        let mut sign = host.command()?;
        sign.args(["--output", "json", "plugin", "sign", COMPONENT, "--key"]);
        told(sign.arg(key(name, "key")))
    };
    let state = || -> Result<Value> {
        let mut show = host.command()?;
        Ok(told(show.args(["--output", "json", "plugin", "show", COMPONENT]))?["state"].take())
    };
    assert_eq!(state()?, "unsigned");
    let refused = put()?;
    assert_eq!(refused.status.code(), Some(7));
    let said = String::from_utf8(refused.stderr)?;
    assert!(
        said.contains("unsigned-generator") && said.contains("ada, grace"),
        "{said}"
    );

    let signed = sign("ada")?;
    assert_eq!(
        sign("ada")?["added"],
        false,
        "the same signature is not added twice"
    );
    let said = String::from_utf8(put()?.stderr)?;
    assert!(said.contains("grace") && !said.contains("ada"), "{said}");
    let mut verify = host.command()?;
    verify.args(["plugin", "verify", COMPONENT]);
    for name in ["ada", "grace"] {
        verify.arg("--key").arg(key(name, "pub"));
    }
    assert_eq!(verify.output()?.status.code(), Some(4));
    assert_eq!(sign("grace")?["signatures"], 2);
    quiet(&mut verify)?;
    assert_eq!(state()?, "active");
    let taken = put()?;
    assert!(
        taken.status.success(),
        "{}",
        String::from_utf8_lossy(&taken.stderr)
    );

    // Somebody else's program reads payload and signature out of the registry and agrees.
    let digest = signed["manifest"]
        .as_str()
        .context("the manifest's digest")?;
    let sheet = format!("/v2/acme/timers/manifests/{}.sig", digest.replace(':', "-"));
    let sheet: Value = serde_json::from_str(&host.request("GET", &sheet, "")?.body)?;
    let layer = &sheet["layers"][0];
    let payload = layer["digest"].as_str().context("a digest")?;
    let payload = host.request("GET", &format!("/v2/acme/timers/blobs/{payload}"), "")?;
    fs::write(directory.join("payload"), payload.body)?;
    let annotation = &layer["annotations"]["dev.cosignproject.cosign/signature"];
    let annotation = annotation.as_str().context("a signature")?;
    fs::write(directory.join("signature.b64"), annotation)?;
    let mut decode = Command::new("openssl");
    decode.args([
        "base64",
        "-d",
        "-A",
        "-in",
        "signature.b64",
        "-out",
        "signature",
    ]);
    quiet(decode.current_dir(directory))?;
    let mut agree = Command::new("openssl");
    agree.args([
        "dgst",
        "-sha256",
        "-verify",
        "ada.pub",
        "-signature",
        "signature",
        "payload",
    ]);
    quiet(agree.current_dir(directory))?;

    crowd(&host, &signed)?;
    assert_eq!(state()?, "active", "a crowd hides no good signature");
    quiet(&mut verify)?;
    Ok(())
}
