//! end-2, end-10: blobs, whole or in part (RFC 9110, section 14).

use std::ops::Range;

use axum::body::Body;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::Response;

use super::Call;
use super::answer::{CONTENT_DIGEST, empty, etag, set};
use crate::digest::ContentDigest;
use crate::error::{RegistryError, Result};
use crate::name::Repository;

impl Call {
    pub(super) async fn blob(
        self,
        repository: Repository,
        digest: ContentDigest,
    ) -> Result<Response> {
        let link = self.inner.link(&repository, &digest).await?;
        let tag = etag(&digest);
        if matches(&self.headers, &tag) {
            return Ok(empty(StatusCode::NOT_MODIFIED, &[(header::ETAG, &tag)]));
        }
        // A range of what the client no longer means is the whole.
        let means_this = self
            .headers
            .get(header::IF_RANGE)
            .is_none_or(|value| value.as_bytes() == tag.as_bytes());
        let asked = self
            .headers
            .get(header::RANGE)
            .filter(|_| means_this && !self.head);
        let range = match asked.and_then(|value| value.to_str().ok()) {
            Some(text) => part(text, link.size)?,
            None => None,
        };
        let (status, bytes) = match range {
            Some(range) => (StatusCode::PARTIAL_CONTENT, range),
            None => (StatusCode::OK, 0..link.size),
        };
        let mut response = Response::new(Body::empty());
        *response.status_mut() = status;
        let headers = response.headers_mut();
        set(headers, header::CONTENT_TYPE, "application/octet-stream");
        set(headers, header::ACCEPT_RANGES, "bytes");
        set(headers, header::ETAG, &tag);
        set(
            headers,
            header::CACHE_CONTROL,
            "private, max-age=31536000, immutable",
        );
        set(headers, CONTENT_DIGEST, &digest.to_string());
        let length = bytes.end - bytes.start;
        set(headers, header::CONTENT_LENGTH, &length.to_string());
        if status == StatusCode::PARTIAL_CONTENT {
            let range = format!("bytes {}-{}/{}", bytes.start, bytes.end - 1, link.size);
            set(headers, header::CONTENT_RANGE, &range);
        }
        if !self.head {
            let stream = self.inner.objects.stream(&digest, bytes).await?;
            *response.body_mut() = Body::from_stream(stream);
        }
        Ok(response)
    }

    pub(super) async fn delete_blob(
        self,
        repository: Repository,
        digest: ContentDigest,
    ) -> Result<Response> {
        self.inner.delete_blob(&repository, &digest).await?;
        Ok(empty(StatusCode::ACCEPTED, &[]))
    }
}

/// Whether `If-None-Match` names what the client would get.
pub(super) fn matches(headers: &HeaderMap, tag: &str) -> bool {
    let given = headers.get_all(header::IF_NONE_MATCH).iter();
    given
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|value| {
            let value = value.trim();
            value == "*" || value.strip_prefix("W/").unwrap_or(value) == tag
        })
}

/// The one part that `Range` asks for. None: it asks for several, or for something that is no range of bytes, and gets the whole.
fn part(text: &str, size: u64) -> Result<Option<Range<u64>>> {
    let Some(spec) = text.strip_prefix("bytes=").map(str::trim) else {
        return Ok(None);
    };
    if spec.contains(',') {
        return Ok(None);
    }
    let Some((first, last)) = spec.split_once('-') else {
        return Ok(None);
    };
    let number = |text: &str| {
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        // One that no integer holds is as good as the largest.
        digits.then(|| text.parse().unwrap_or(u64::MAX))
    };
    let (start, end) = match (number(first), number(last)) {
        (None, Some(suffix)) if first.is_empty() => (size.saturating_sub(suffix), size),
        (Some(start), None) if last.is_empty() => (start, size),
        (Some(start), Some(last)) => (start, last.saturating_add(1).min(size)),
        _ => return Ok(None),
    };
    if start >= end {
        return Err(RegistryError::Range { size });
    }
    Ok(Some(start..end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_a_part_the_whole_or_refused() {
        let cases = [
            ("bytes=0-0", Some(Some(0..1))),
            ("bytes=500-1499", Some(Some(500..1500))),
            ("bytes=500-", Some(Some(500..2048))),
            ("bytes=-500", Some(Some(1548..2048))),
            ("bytes=-9999", Some(Some(0..2048))),
            ("bytes=2000-99999999999999999999999", Some(Some(2000..2048))),
            ("bytes=2048-", None),
            ("bytes=-0", None),
            ("bytes=500-0", None),
            ("bytes=0-1,3-4", Some(None)),
            ("bytes=a-b", Some(None)),
            ("bytes=--1", Some(None)),
            ("lines=0-1", Some(None)),
        ];
        for (text, expected) in cases {
            assert_eq!(part(text, 2048).ok(), expected, "{text}");
        }
        assert!(part("bytes=0-", 0).is_err());
    }
}
