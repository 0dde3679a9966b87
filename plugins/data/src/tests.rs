//! What a configuration comes to, without a host.

use bootsplice_sdk::archive::{TemplateFormat, UnpackFormat};
use bootsplice_sdk::blobs::Codec;
use bootsplice_sdk::prelude::{Entry, Generator, Kind, Locked, Pin, StepContent};
use bootsplice_sdk::{config as reader, refuse};
use serde_json::{Value, json};

use crate::config::Config;
use crate::content::{Archive, artefacts, content};
use crate::kind::Kind as ArchiveKind;
use crate::{DataGenerator, recall};

const DOCUMENTS: &str = include_str!("../examples/documents.json");

fn schema() -> jsonschema::Validator {
    let schema: Value = serde_json::from_str(include_str!("../schema.json")).unwrap();
    jsonschema::draft202012::new(&schema).unwrap()
}

/// Reads a configuration that the schema accepts.
fn config(value: Value) -> Config {
    assert!(schema().is_valid(&value), "the schema refuses {value}");
    reader::read(&value.to_string()).unwrap()
}

fn codes(value: Value) -> Vec<(String, String)> {
    let found = reader::read::<Config>(&value.to_string()).unwrap().check();
    found
        .into_iter()
        .map(|finding| (finding.pointer, finding.code))
        .collect()
}

/// The content when every archive is a tar in zstd of a thousand bytes.
fn staged(value: Value) -> StepContent {
    let archive = Archive {
        kind: ArchiveKind {
            format: UnpackFormat::Tar,
            codec: Some(Codec::Zstd),
        },
        unpacked: 1000,
    };
    content(&config(value), |_| Ok::<_, ()>(archive)).unwrap()
}

#[test]
fn the_examples_are_valid_and_the_descriptor_is_whole() {
    let descriptor = DataGenerator::describe();
    assert_eq!(descriptor.capabilities.fetch, ["${config:/sources/*/url}"]);
    for example in descriptor.examples {
        refuse(config(serde_json::from_str(&example.config).unwrap()).check()).unwrap();
    }
}

#[test]
fn an_archive_for_a_user_is_unpacked_in_her_home_and_its_digest_is_noted() {
    let content = staged(serde_json::from_str(DOCUMENTS).unwrap());
    let [
        Entry {
            path,
            kind: Kind::Unpacked(unpack),
        },
    ] = content.entries.as_slice()
    else {
        panic!("{:?}", content.entries);
    };
    assert_eq!(path, "~ada/Documents");
    assert_eq!(
        (unpack.pin.as_str(), unpack.codec, unpack.max_size),
        ("/sources/0", Some(Codec::Zstd), 1000)
    );
    assert_eq!(unpack.owner, None, "what lies in a home is its user's");
    assert!(content.notes[0].contains("s3://team/ada/docs.tar.zst"));
}

#[test]
fn a_target_with_a_slash_at_its_end_keeps_the_files_name() {
    let content = staged(json!({"user": "ada", "sources": [
        {"url": "https://example.com/tools/jot?v=2", "to": "bin/", "mode": "0755"},
        {"url": "https://example.com/a.tar", "unpack": true, "to": "/srv/www/"},
        {"content": "{\"id\": \"{{instance:id}}\"}", "to": "id.json"},
        {"content": "{{plain}}", "to": "~bob/x"}
    ]}));
    let paths: Vec<_> = content
        .entries
        .iter()
        .map(|entry| entry.path.as_str())
        .collect();
    assert_eq!(
        paths,
        ["~ada/bin/jot", "/srv/www", "~ada/id.json", "~bob/x"]
    );
    assert!(matches!(&content.entries[0].kind, Kind::Pinned(attrs, _) if attrs.mode == 0o755));
    assert!(matches!(
        &content.entries[2].kind,
        Kind::Template(_, _, TemplateFormat::Json)
    ));
    assert!(matches!(&content.entries[3].kind, Kind::Bytes(_, bytes) if bytes == b"{{plain}}"));
}

#[test]
fn a_directorys_mode_is_an_entry_before_its_members() {
    let content = staged(
        json!({"sources": [{"url": "https://e.example/a.tar", "unpack": true, "to": "/srv/www", "directory_mode": "0750", "owner": "www-data"}]}),
    );
    assert!(matches!(&content.entries[0].kind, Kind::Dir(attrs) if attrs.mode == 0o750));
    assert!(
        matches!(&content.entries[1].kind, Kind::Unpacked(unpack) if unpack.owner.as_ref().unwrap().group == "www-data")
    );
}

#[test]
fn what_resolve_learned_comes_back_from_the_lock_file() {
    let pin = |attributes: &[(&str, &str)]| Locked {
        pins: vec![Pin {
            name: "/sources/0".into(),
            version: String::new(),
            urls: vec!["s3://team/x".into()],
            digest: format!("sha256:{}", "0".repeat(64)),
            size: 1,
            attributes: attributes
                .iter()
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
                .collect(),
        }],
        state: None,
    };
    let archive = recall(&pin(&[("kind", "tar+xz"), ("unpacked", "77")]), 0).unwrap();
    assert_eq!(
        (archive.kind.codec, archive.unpacked),
        (Some(Codec::Xz), 77)
    );
    assert!(recall(&pin(&[("kind", "tar+xz")]), 0).is_err());
    assert!(recall(&pin(&[]), 1).is_err());
}

#[test]
fn sources_in_place_are_not_fetched() {
    let config = config(
        json!({"sources": [{"content": "x", "to": "/a"}, {"url": "file:///srv/b", "to": "/b"}]}),
    );
    let names: Vec<_> = artefacts(&config)
        .into_iter()
        .map(|(name, _)| name)
        .collect();
    assert_eq!(names, ["/sources/1"]);
}

#[test]
fn every_fault_is_found_at_once_with_its_pointer() {
    let found = codes(json!({"sources": [
        {"url": "s3://team/ada/", "to": "Documents", "unpack": true},
        {"url": "https://a.example/x", "content": "{{secret:}}", "to": "/a/../b", "strip_components": 1},
        {"content": "x", "to": "/x", "unpack": "zip"},
        {"to": "/x", "owner": "a:b"},
        {"url": "https://a.example/y", "to": "/same"},
        {"url": "https://a.example/z", "to": "/same"}
    ]}));
    let expected = [
        ("/sources/0/url", "invalid-url"),
        ("/sources/0/to", "relative-target"),
        ("/sources/1", "two-contents"),
        ("/sources/1/content", "unknown-placeholder"),
        ("/sources/1/to", "invalid-path"),
        ("/sources/1/strip_components", "only-for-archives"),
        ("/sources/2/unpack", "only-for-urls"),
        ("/sources/3", "no-content"),
        ("/sources/3/owner", "invalid-name"),
        ("/sources/5/to", "duplicate-path"),
    ];
    assert_eq!(
        found,
        expected.map(|(pointer, code)| (pointer.to_owned(), code.to_owned()))
    );
}

#[test]
fn a_relative_target_cannot_leave_the_home() {
    for to in ["../bob/x", "a/../../x", "a//b", "./x"] {
        let found =
            codes(json!({"user": "ada", "sources": [{"url": "https://a.example/x", "to": to}]}));
        assert_eq!(found.len(), 1, "{to}");
    }
}

#[test]
fn what_the_schema_must_refuse_it_refuses() {
    for wrong in [
        json!({}),
        json!({"sources": []}),
        json!({"sources": [{"url": "https://a.example/x"}]}),
        json!({"sources": [{"to": "/x"}]}),
        json!({"sources": [{"url": "https://a.example/x", "content": "", "to": "/x"}]}),
        json!({"sources": [{"url": "ftp://a.example/x", "to": "/x"}]}),
        json!({"sources": [{"url": "https://a.example/x", "to": "/x", "unpack": "rar"}]}),
        json!({"sources": [{"url": "https://a.example/x", "to": "/x", "sha256": "abc"}]}),
        json!({"sources": [{"url": "https://a.example/x", "to": "/x", "strip_components": -1}]}),
        json!({"user": "a b", "sources": [{"url": "https://a.example/x", "to": "x"}]}),
    ] {
        assert!(!schema().is_valid(&wrong), "the schema accepts {wrong}");
    }
}
