//! Names, tags, references, digests and `Authorization` headers: what is read is written the same, and leads out of nowhere.
#![no_main]

use bootsplice_registry::{Algorithm, ContentDigest, Reference, Repository, Tag, gate};

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let Ok(text) = std::str::from_utf8(input) else {
        return;
    };
    if let Ok(repository) = text.parse::<Repository>() {
        assert_eq!(repository.to_string(), text);
        let plain = |part: &str| !part.is_empty() && part != "." && part != "..";
        assert!(text.split('/').all(plain), "`{text}` is a path");
        assert!(text.starts_with(repository.namespace()));
        if let Some(name) = repository.name() {
            assert_eq!(text, format!("{}/{name}", repository.namespace()));
        }
    }
    if let Ok(tag) = text.parse::<Tag>() {
        assert_eq!(tag.to_string(), text);
        assert!(!text.contains(['/', ':', '@', '%']), "`{text}` is no tag");
        let _ = tag.is_version();
    }
    if let Ok(reference) = text.parse::<Reference>() {
        assert_eq!(reference.to_string(), text);
    }
    if let Ok(digest) = text.parse::<ContentDigest>() {
        assert_eq!(digest.to_string(), text);
        assert!(digest.hex().bytes().all(|byte| byte.is_ascii_hexdigit()));
        let again = ContentDigest::of(digest.algorithm(), input);
        assert_eq!(again.hex().len(), digest.hex().len());
    }
    let _ = text.parse::<Algorithm>();
    if let Some(token) = gate::token_of(text) {
        let bearer = gate::token_of(&format!("Bearer {token}"));
        assert_eq!(bearer.as_deref(), Some(token.trim()));
    }
});
