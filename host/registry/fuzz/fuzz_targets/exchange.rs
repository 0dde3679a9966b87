//! Requests without a socket, and what every answer keeps to.

use std::sync::LazyLock;

use tokio::runtime::Runtime;

use crate::common::call::Answer;

/// One thread for all inputs.
pub static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime needs only memory and a few descriptors")
});

/// No answer blames the host, and every error is the specification's.
pub fn judged(answer: &Answer) {
    let status = answer.status.as_u16();
    assert!(status < 500, "{answer:?}");
    assert_eq!(
        answer.header("docker-distribution-api-version"),
        "registry/2.0",
        "{answer:?}"
    );
    if status >= 400 && !answer.body.is_empty() {
        let code = answer.code();
        let word = |byte: u8| byte.is_ascii_uppercase() || byte == b'_';
        assert!(!code.is_empty() && code.bytes().all(word), "{answer:?}");
    }
}
