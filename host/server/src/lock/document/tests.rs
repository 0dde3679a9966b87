use super::*;

/// A package of a lock of tests.
pub fn package(name: &str, version: &str, reason: &str) -> Package {
    Package {
        name: name.into(),
        version: version.into(),
        architecture: "amd64".into(),
        reason: reason.into(),
        size: 1000,
        sha256: Digest::of(format!("{name} {version}").as_bytes()),
        urls: vec![format!("https://deb.example.org/pool/{name}.deb")],
        source: Source {
            name: format!("src-{name}"),
            version: version.into(),
        },
        replaces: None,
        repository: Some(Repository {
            suite: "bookworm".into(),
            component: "main".into(),
            origin: "Debian".into(),
            codename: "bookworm".into(),
            released: "2026-11-22T10:00:00Z".into(),
            signed_by: vec!["AB".repeat(20)],
        }),
    }
}

/// A lock of one step.
pub fn lock(packages: Vec<Package>) -> LockFile {
    let mut lock = LockFile {
        schema: SCHEMA.into(),
        profile: Of {
            name: "web".into(),
            steps: Digest::of(b"steps"),
        },
        base: Digest::of(b"base"),
        target: Target {
            distribution: "debian".into(),
            release: "bookworm".into(),
            architecture: "amd64".into(),
        },
        date: None,
        steps: vec![Step {
            id: "apps".into(),
            generator: Digest::of(b"apt"),
            needs_instance: false,
            packages,
            artefacts: Vec::new(),
        }],
    };
    lock.set_date();
    lock
}

#[test]
fn what_is_written_is_read_and_a_second_version_of_a_package_is_refused() {
    let good = lock(vec![package("nginx", "1.22-1", "requested")]);
    assert_eq!(LockFile::parse(&good.to_text()).unwrap(), good);
    assert_eq!(good.date.as_deref(), Some("2026-11-22T10:00:00Z"));
    let two = lock(vec![
        package("nginx", "1.22-1", "requested"),
        package("nginx", "1.24-1", "requested"),
    ]);
    let refused = LockFile::parse(&two.to_text()).unwrap_err();
    assert_eq!(refused.pointer, "/steps/0/packages/1/version");
    assert!(refused.what.contains("1.22-1"), "{refused}");
}

#[test]
fn faults_of_a_lock_file_name_their_place() {
    assert_eq!(LockFile::parse("{}").unwrap_err().pointer, "/schema");
    let text = lock(vec![package("nginx", "1", "requested")]).to_text();
    let wrong = text.replace("\"size\": 1000", "\"size\": -1");
    let refused = LockFile::parse(&wrong).unwrap_err();
    assert_eq!(refused.pointer, "/steps/0/packages/0/size");
}

#[test]
fn the_same_file_keeps_what_was_said_of_it() {
    let old = lock(vec![package("nginx", "1", "requested")]);
    let mut newer = package("nginx", "1", "requested");
    newer.repository.as_mut().unwrap().released = "2026-11-23T10:00:00Z".into();
    let mut new = lock(vec![newer]);
    assert_ne!(new, old);
    new.keep_words_of(&old);
    assert_eq!(new, old);
}
