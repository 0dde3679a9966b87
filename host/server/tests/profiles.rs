//! Profiles over the wire: versions, preconditions, and every fault at once.

#![allow(clippy::unwrap_used)]

mod common;

use bootsplice_server::auth::Verb;
use common::{Host, faults, problem, web_developer};
use reqwest::Method;
use serde_json::{Value, json};

const PATH: &str = "/v1/profiles/web-developer";

async fn host() -> (Host, String) {
    let host = Host::start().await;
    let token = host
        .token("acme", &[Verb::ProfilesRead, Verb::ProfilesWrite])
        .await;
    (host, token)
}

fn etag(response: &reqwest::Response) -> String {
    response.headers()["etag"].to_str().unwrap().to_owned()
}

#[tokio::test]
async fn the_example_of_the_design_is_saved_and_read_back_as_it_was_written() {
    let (host, token) = host().await;
    let created = host.put(PATH, &token, &web_developer()).await;
    assert_eq!(created.status(), 201);
    assert_eq!(created.headers()["location"], PATH);
    let body: Value = host
        .get(&format!("{PATH}@1"), &token)
        .await
        .json()
        .await
        .unwrap();
    assert_eq!(
        (&body["name"], &body["version"]),
        (&json!("web-developer"), &json!(1))
    );
    for (index, step) in web_developer()["steps"]
        .as_array()
        .unwrap()
        .iter()
        .enumerate()
    {
        for (key, value) in step.as_object().unwrap() {
            assert_eq!(&body["steps"][index][key], value, "step {index}, {key}");
        }
    }
    let digest = bootsplice_content::Digest::of(b"apt").to_string();
    assert_eq!(body["plugins"]["apps"], json!(digest));
}

#[tokio::test]
async fn versions_rise_and_never_change() {
    let (host, token) = host().await;
    let first = host.put(PATH, &token, &web_developer()).await;
    let same = host.put(PATH, &token, &web_developer()).await;
    assert_eq!((same.status().as_u16(), etag(&same)), (200, etag(&first)));
    let mut changed = web_developer();
    changed["steps"][0]["with"]["packages"] = json!(["nginx"]);
    let second = host.put(PATH, &token, &changed).await;
    assert_eq!(second.status(), 200);
    assert_ne!(etag(&second), etag(&first));
    let view: Value = second.json().await.unwrap();
    assert_eq!(view["version"], 2);
    let old: Value = host
        .get(&format!("{PATH}@1"), &token)
        .await
        .json()
        .await
        .unwrap();
    assert_eq!(old["steps"][0]["with"]["packages"][1], "postgresql");
    let latest: Value = host.get(PATH, &token).await.json().await.unwrap();
    assert_eq!(latest["version"], 2);
    let versions: Value = host
        .get(&format!("{PATH}/versions"), &token)
        .await
        .json()
        .await
        .unwrap();
    assert_eq!(versions["profiles"].as_array().unwrap().len(), 2);
    assert_eq!(host.delete(PATH, &token).await.status(), 204);
    for gone in [
        PATH.to_owned(),
        format!("{PATH}@1"),
        format!("{PATH}/versions"),
    ] {
        assert_eq!(host.get(&gone, &token).await.status(), 404, "{gone}");
    }
    assert_eq!(host.delete(PATH, &token).await.status(), 404);
    let again = host.put(PATH, &token, &web_developer()).await;
    assert_eq!(again.status(), 201);
    let view: Value = again.json().await.unwrap();
    assert_eq!(view["version"], 3, "a version is never used twice");
}

#[tokio::test]
async fn preconditions_are_kept() {
    let (host, token) = host().await;
    let put = |name: &'static str, value: String, document: Value| {
        let request = host.request(Method::PUT, PATH, &token);
        let request = request.header(name, value).json(&document);
        async move { request.send().await.unwrap() }
    };
    let absent = put("if-match", "\"1\"".into(), web_developer()).await;
    assert_eq!(absent.status(), 412);
    let first = put("if-none-match", "*".into(), web_developer()).await;
    assert_eq!(first.status(), 201);
    let taken = put("if-none-match", "*".into(), web_developer()).await;
    assert_eq!(taken.status(), 412);
    let mut changed = web_developer();
    changed["description"] = json!("changed");
    let second = put("if-match", etag(&first), changed.clone()).await;
    assert_eq!(second.status(), 200);
    changed["description"] = json!("changed from an old state");
    let stale = put("if-match", etag(&first), changed).await;
    assert_eq!(problem(stale).await.0, 412);
    let malformed = put("if-match", "1".into(), web_developer()).await;
    assert_eq!(problem(malformed).await.0, 400);
    let unchanged = host
        .request(Method::GET, PATH, &token)
        .header("if-none-match", etag(&second));
    assert_eq!(unchanged.send().await.unwrap().status(), 304);
    let stale = host
        .request(Method::DELETE, PATH, &token)
        .header("if-match", etag(&first));
    assert_eq!(stale.send().await.unwrap().status(), 412);
    assert_eq!(host.get(PATH, &token).await.status(), 200);
}

#[tokio::test]
async fn two_puts_at_once_are_two_versions() {
    let (host, token) = host().await;
    let puts = (0..8).map(|number| {
        let mut document = web_developer();
        document["description"] = json!(format!("number {number}"));
        let (host, token) = (&host, &token);
        async move { host.put(PATH, token, &document).await.status().as_u16() }
    });
    let mut statuses = futures::future::join_all(puts).await;
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 200, 200, 200, 200, 200, 200, 201]);
    let latest: Value = host.get(PATH, &token).await.json().await.unwrap();
    assert_eq!(latest["version"], 8);
}

#[tokio::test]
async fn every_fault_of_a_profile_is_told_at_once() {
    let (host, token) = host().await;
    let wrong = json!({
        "name": "Web Developer",
        "step": [],
        "steps": [
            { "id": "a", "use": "apt", "at": "base", "with": { "packages": "nginx", "recomends": true }, "after": ["b"] },
            { "id": "b", "use": "atp", "at": "Base!", "after": ["a", "nowhere"] },
            { "id": "a", "use": "config@9", "at": "base", "retries": 3, "timeout": 0, "on_failure": "retyr" },
            { "id": "d", "use": "config", "at": "base", "after": ["e"], "with": { "files": [{ "content": "{{instance:nmae}}" }] } },
            { "id": "e", "use": "script", "at": "users", "with": { "text": "x" } },
            7
        ]
    });
    let (status, body) = problem(host.put(PATH, &token, &wrong).await).await;
    assert_eq!(status, 422);
    assert!(
        body["type"]
            .as_str()
            .unwrap()
            .ends_with("/problems/invalid-profile")
    );
    let expected = [
        ("/name", "invalid-name"),
        ("/name", "other-name"),
        ("/step", "unknown-key"),
        ("/steps/0/with/packages", "wrong-type"),
        ("/steps/0/with/recomends", "unknown-key"),
        ("/steps/1/after/0", "circle"),
        ("/steps/1/after/1", "unknown-step"),
        ("/steps/1/at", "invalid-name"),
        ("/steps/1/use", "unknown-generator"),
        ("/steps/2/id", "duplicate-id"),
        ("/steps/2/on_failure", "invalid-value"),
        ("/steps/2/retries", "no-effect"),
        ("/steps/2/timeout", "invalid-value"),
        ("/steps/2/use", "unknown-generator"),
        ("/steps/3/after/0", "later-stage"),
        ("/steps/3/with/files/0/content", "unknown-placeholder"),
        ("/steps/5", "wrong-type"),
    ];
    let expected: Vec<_> = expected.map(|(a, b)| (a.to_owned(), b.to_owned())).into();
    assert_eq!(faults(&body), expected, "{body:#}");
    let hint = |pointer: &str| {
        let errors = body["errors"].as_array().unwrap();
        let found = errors
            .iter()
            .find(|error| error["pointer"] == pointer && error["hint"].is_string());
        found.unwrap()["hint"].as_str().unwrap().to_owned()
    };
    assert_eq!(hint("/step"), "did you mean `steps`?");
    assert_eq!(hint("/steps/1/use"), "did you mean `apt`?");
    assert_eq!(hint("/steps/2/use"), "there is config@1.2.3");
    assert_eq!(hint("/steps/2/on_failure"), "did you mean `retry`?");
    assert_eq!(
        host.get(PATH, &token).await.status(),
        404,
        "nothing was saved"
    );
}

#[tokio::test]
async fn what_the_generator_itself_refuses_is_told_as_in_the_design() {
    let (host, token) = host().await;
    let mut document = web_developer();
    document["steps"][0]["with"]["packages"][1] = json!("postgresq");
    let (status, body) = problem(host.put(PATH, &token, &document).await).await;
    assert_eq!(
        (status, &body["title"]),
        (422, &json!("The profile is not valid"))
    );
    assert_eq!(
        body["errors"],
        json!([{
            "pointer": "/steps/0/with/packages/1",
            "code": "unknown-package",
            "detail": "no package 'postgresq' in bookworm",
            "hint": "did you mean 'postgresql'?"
        }])
    );
}

#[tokio::test]
async fn lists_come_in_pages() {
    let (host, token) = host().await;
    for number in 0..5 {
        let mut document = web_developer();
        document["name"] = json!(format!("p{number}"));
        let put = host
            .put(&format!("/v1/profiles/p{number}"), &token, &document)
            .await;
        assert_eq!(put.status(), 201);
    }
    host.delete("/v1/profiles/p2", &token).await;
    let mut names = Vec::new();
    let mut path = "/v1/profiles?limit=2".to_owned();
    loop {
        let page: Value = host.get(&path, &token).await.json().await.unwrap();
        for profile in page["profiles"].as_array().unwrap() {
            names.push(profile["name"].as_str().unwrap().to_owned());
        }
        let Some(next) = page["next"].as_str() else {
            break;
        };
        path = format!("/v1/profiles?limit=2&after={next}");
    }
    assert_eq!(names, ["p0", "p1", "p3", "p4"]);
    for wrong in ["?limit=0", "?limit=501"] {
        let (status, _) = problem(host.get(&format!("/v1/profiles{wrong}"), &token).await).await;
        assert_eq!(status, 422);
    }
    let (status, _) = problem(host.get("/v1/profiles?limits=2", &token).await).await;
    assert_eq!(status, 400);
}
