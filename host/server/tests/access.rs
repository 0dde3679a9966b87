//! Every route × token: no token 401, wrong verb 403, another tenant's object 404 (rule 36).

#![allow(clippy::unwrap_used)]

mod common;

use bootsplice_content::Digest;
use bootsplice_server::api;
use bootsplice_server::auth::Verb;
use bootsplice_server::launch::ledger::Admission;
use bootsplice_server::launch::record::{Base, Launch, State};
use bootsplice_server::launch::request::Draft;
use bootsplice_server::route::Access;
use common::{Host, problem, web_developer};
use reqwest::Method;
use serde_json::json;
use time::OffsetDateTime;
use time::macros::datetime;

/// The launch that [`furnish`] records.
const LAUNCH: &str = "01JD0000000000000000000000";
const NOW: OffsetDateTime = datetime!(2026-01-02 03:04:05 UTC);

/// A path with its parameters filled in by the objects that [`furnish`] makes.
fn filled(path: &str, token_id: &str) -> String {
    let object = if path.contains("/secrets/") {
        "ada-api-key"
    } else {
        "web-developer"
    };
    let id = if path.contains("/tokens/") {
        token_id
    } else {
        LAUNCH
    };
    path.replace("{namespace}", "acme")
        .replace("{version}", "1.0.0")
        .replace("{name}", object)
        .replace("{id}", id)
}

/// One of everything, owned by `acme`.
async fn furnish(host: &Host) {
    let token = host
        .token("acme", &[Verb::ProfilesWrite, Verb::SecretsWrite])
        .await;
    let profile = host
        .put("/v1/profiles/web-developer", &token, &web_developer())
        .await;
    assert_eq!(profile.status(), 201);
    let secret = host
        .put("/v1/secrets/ada-api-key", &token, &json!({ "value": "x" }))
        .await;
    assert_eq!(secret.status(), 201);
    let launches = host.app.launches().unwrap();
    let admitted = launches.ledger.admit(launch(), true, NOW).await.unwrap();
    assert!(matches!(admitted, Admission::New(_)));
}

/// A launch of `acme`, recorded and not worked on.
fn launch() -> Launch {
    let request: Draft = serde_json::from_value(json!({
        "instance": {"id": "i-1"}, "profile": "web-developer", "volume": "debian-12"
    }))
    .unwrap();
    Launch {
        id: LAUNCH.into(),
        tenant: "acme".into(),
        request: request.check().unwrap(),
        profile_version: 1,
        base: Base {
            name: "debian-12".into(),
            volume: Digest::of(b"volume"),
            placement: 1,
        },
        size: 1 << 30,
        sequence: 0,
        idempotency_key: "key".into(),
        locks: Default::default(),
        made: None,
        steps: Vec::new(),
        state: State::Accepted,
        created: NOW,
        deadline: NOW,
        timeline: Vec::new(),
        report: None,
    }
}

#[tokio::test]
async fn no_route_but_health_answers_without_a_valid_token() {
    let host = Host::start().await;
    let mut open = Vec::new();
    for route in api::table() {
        let path = filled(&route.path, "0123456789abcdef");
        if route.access == Access::Open {
            open.push(route.path.clone());
            assert_eq!(host.get(&path, "").await.status(), 200, "{path}");
            continue;
        }
        for token in [
            "",
            "bst_0123456789abcdef_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
            "nonsense",
        ] {
            let request = host
                .request(route.method.clone(), &path, token)
                .json(&json!({}));
            let response = request.send().await.unwrap();
            let challenge = response.headers().contains_key("www-authenticate");
            let (status, _) = problem(response).await;
            assert_eq!(status, 401, "{} {path} with `{token}`", route.method);
            assert!(challenge, "{} {path}", route.method);
        }
    }
    assert_eq!(open, ["/healthz", "/readyz"]);
}

#[tokio::test]
async fn a_token_with_every_verb_but_the_routes_own_is_refused() {
    let host = Host::start().await;
    furnish(&host).await;
    for route in api::table() {
        let Access::Verb(needed) = route.access else {
            continue;
        };
        let others: Vec<_> = Verb::ALL
            .into_iter()
            .filter(|verb| *verb != needed && *verb != Verb::Admin)
            .collect();
        let token = host.token("acme", &others).await;
        let path = filled(&route.path, "0123456789abcdef");
        let request = host
            .request(route.method.clone(), &path, &token)
            .json(&json!({}));
        let (status, body) = problem(request.send().await.unwrap()).await;
        assert_eq!(status, 403, "{} {path}", route.method);
        assert!(
            body["detail"].as_str().unwrap().contains(needed.as_str()),
            "{body}"
        );
    }
}

#[tokio::test]
async fn another_tenants_objects_do_not_exist() {
    let host = Host::start().await;
    furnish(&host).await;
    let verbs: Vec<_> = Verb::ALL
        .into_iter()
        .filter(|verb| *verb != Verb::Admin)
        .collect();
    let (acme, rival) = (
        host.token("acme", &verbs).await,
        host.token("rival", &verbs).await,
    );
    for route in api::table() {
        let Access::Verb(needed) = route.access else {
            continue;
        };
        // Tokens are the administrator's, over all tenants; a put makes the caller's own object.
        if needed == Verb::Admin || route.method == Method::PUT || !route.path.contains('{') {
            continue;
        }
        let path = filled(&route.path, "");
        let body = if path.ends_with("/confirm") {
            json!({"sha256": Digest::of(b"x")})
        } else {
            json!({})
        };
        let request = host
            .request(route.method.clone(), &path, &rival)
            .json(&body);
        let (status, body) = problem(request.send().await.unwrap()).await;
        assert_eq!(status, 404, "{} {path}: {body}", route.method);
    }
    // A put under the same name makes another object and leaves the first alone.
    let other = host
        .put("/v1/secrets/ada-api-key", &rival, &json!({ "value": "y" }))
        .await;
    assert_eq!(other.status(), 201);
    for (path, field) in [("/v1/profiles", "profiles"), ("/v1/secrets", "secrets")] {
        let mine: serde_json::Value = host.get(path, &acme).await.json().await.unwrap();
        assert_eq!(mine[field].as_array().unwrap().len(), 1);
    }
    let theirs: serde_json::Value = host.get("/v1/profiles", &rival).await.json().await.unwrap();
    assert!(theirs["profiles"].as_array().unwrap().is_empty());
    for (token, count) in [(&acme, 1), (&rival, 0)] {
        let list: serde_json::Value = host.get("/v1/launches", token).await.json().await.unwrap();
        assert_eq!(list["launches"].as_array().unwrap().len(), count);
    }
    // What is pushed into a namespace is seen by its owner, and by others when it is shared.
    let usage = "/v1/plugins/acme/web-developer/1.0.0/usage";
    assert_eq!(host.get(usage, &acme).await.status(), 200);
    for (token, count) in [(&acme, 1), (&rival, 0)] {
        for (path, field) in [("/v1/plugins", "plugins"), ("/v1/namespaces", "namespaces")] {
            let list: serde_json::Value = host.get(path, token).await.json().await.unwrap();
            assert_eq!(list[field].as_array().unwrap().len(), count, "{path}");
        }
    }
    let admin = host.token("default", &[Verb::Admin]).await;
    let share = json!({"readers": ["rival"]});
    let shared = host.put("/v1/namespaces/acme", &admin, &share).await;
    assert_eq!(shared.status(), 200);
    assert_eq!(host.get(usage, &rival).await.status(), 200);
    // To see is not to own.
    let yank = json!({"reason": "mine now"});
    let taken = host
        .put("/v1/plugins/acme/web-developer/1.0.0/yank", &rival, &yank)
        .await;
    assert_eq!(taken.status(), 403);
    let mine = host.get(&format!("/v1/launches/{LAUNCH}"), &acme).await;
    assert_eq!(mine.status(), 200);
}

#[tokio::test]
async fn tokens_end_when_they_expire_or_are_revoked() {
    let host = Host::start().await;
    let admin = host.token("default", &[Verb::Admin]).await;
    let body =
        json!({ "tenant": "acme", "verbs": ["profiles:read"], "label": "ci", "expires_in": 60 });
    let request = host.request(Method::POST, "/v1/tokens", &admin).json(&body);
    let created: serde_json::Value = request.send().await.unwrap().json().await.unwrap();
    let token = created["token"].as_str().unwrap();
    assert_eq!(created["expires"], "2026-01-02T03:05:05Z");
    assert_eq!(host.get("/v1/profiles", token).await.status(), 200);
    let listed = host.get("/v1/tokens", &admin).await.text().await.unwrap();
    let secret = token.rsplit_once('_').unwrap().1;
    assert!(listed.contains("\"ci\"") && !listed.contains(secret));
    host.clock.advance(std::time::Duration::from_secs(60));
    assert_eq!(host.get("/v1/profiles", token).await.status(), 401);

    let other = host.token("acme", &[Verb::ProfilesRead]).await;
    let id = other.split('_').nth(1).unwrap();
    assert_eq!(host.get("/v1/profiles", &other).await.status(), 200);
    let revoked = host.delete(&format!("/v1/tokens/{id}"), &admin).await;
    assert_eq!(revoked.status(), 204);
    assert_eq!(host.get("/v1/profiles", &other).await.status(), 401);
    for wrong in [
        json!({ "verbs": [] }),
        json!({ "verbs": ["root"] }),
        json!({ "verbs": ["admin"], "expires_in": -1 }),
        json!({ "verbs": ["admin"], "tenant": "A B" }),
        json!({ "verbs": ["admin"], "surprise": 1 }),
        json!({ "verbs": ["plugins:write"], "namespaces": ["Acme"] }),
        json!({ "verbs": ["plugins:read"], "namespaces": ["mine"] }),
        json!({ "verbs": ["plugins:write"], "namespaces": ["acme"], "tenant": "rival" }),
    ] {
        let request = host
            .request(Method::POST, "/v1/tokens", &admin)
            .json(&wrong);
        let (status, body) = problem(request.send().await.unwrap()).await;
        assert_eq!(status, 422, "{wrong}: {body}");
    }
}
