//! A real host on a real port, with a clock and generators that the test owns.

#![allow(dead_code, reason = "each test file uses its own part")]

use std::sync::Arc;

use async_trait::async_trait;
use bootsplice_content::Digest;
use bootsplice_server::auth::{NewToken, Tenant, Verb};
use bootsplice_server::clock::{ManualClock, SystemEntropy};
use bootsplice_server::config::Config;
use bootsplice_server::launch::Launches;
use bootsplice_server::plugins::Installed;
use bootsplice_server::problem::Fault;
use bootsplice_server::profile::{
    Generator, Generators, GeneratorsError, PluginName, PluginRef, Stage,
};
use bootsplice_server::serve::Server;
use bootsplice_server::state::StateDirectory;
use bootsplice_server::{AppState, Parts, api};
use bootsplice_store::{RedbStore, Store, Transaction};
use reqwest::{Method, RequestBuilder, Response};
use serde_json::{Map, Value, json};

/// A running host. It ends with the value.
pub struct Host {
    pub app: AppState,
    pub clock: ManualClock,
    pub base: String,
    http: reqwest::Client,
    directory: tempfile::TempDir,
}

/// A release of `acme/web-developer`, as a push records it.
async fn pushed(store: &dyn Store) {
    let digest = Digest::of(b"web-developer");
    let at = "2026-01-02T03:04:05Z";
    let release = json!({
        "v": 1, "namespace": "acme", "name": "web-developer", "version": "1.0.0", "digest": digest, "title": "", "summary": "",
        "stage": "files", "config_schema": {}, "secrets": [], "installed": at,
        "pushed_by": {"tenant": "acme", "token": "0123456789abcdef"},
    });
    let namespace = json!({"v": 1, "namespace": "acme", "owner": "acme", "public": false, "readers": [], "created": at});
    let key = format!("plugin/acme/web-developer/{}", digest.hex());
    let put = Transaction::new()
        .put(key, release.to_string())
        .put("namespace/acme", namespace.to_string());
    store.transact(put).await.unwrap();
}

/// Generators whose schemas are those of the example in the design.
pub struct Catalogue;

impl Host {
    pub async fn start() -> Self {
        Self::start_with(Config::default(), tempfile::tempdir().unwrap()).await
    }

    pub async fn start_with(config: Config, directory: tempfile::TempDir) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let clock = ManualClock::at(time::macros::datetime!(2026-01-02 03:04:05 UTC));
        let state = StateDirectory::open(&directory.path().join("state")).unwrap();
        let config = Config {
            listen: "127.0.0.1:0".parse().unwrap(),
            state: state.root().to_owned(),
            ..config
        };
        let store = Arc::new(RedbStore::open(&state.records()).unwrap());
        pushed(&*store).await;
        let parts = Parts {
            config,
            state,
            store,
            clock: Arc::new(clock.clone()),
            entropy: Arc::new(SystemEntropy),
        };
        let installed = Installed::open(&parts).await.unwrap();
        let app = AppState::new(parts, Arc::new(Catalogue)).unwrap();
        app.set_launches(Launches::open(&app, installed).unwrap());
        let server = Server::bind(app.clone(), api::table()).unwrap();
        let scheme = if app.config.tls.is_some() {
            "https"
        } else {
            "http"
        };
        let base = format!("{scheme}://localhost:{}", server.address().port());
        tokio::spawn(server.run());
        Self {
            app,
            clock,
            base,
            http: reqwest::Client::new(),
            directory,
        }
    }

    /// A token of `tenant` with `verbs`.
    pub async fn token(&self, tenant: &str, verbs: &[Verb]) -> String {
        let new = NewToken {
            tenant: tenant.parse().unwrap(),
            label: String::new(),
            verbs: verbs.to_vec(),
            namespaces: Vec::new(),
            expires: None,
        };
        let (_, secret) = self.app.tokens.create(new).await.unwrap();
        secret.reveal().to_owned()
    }

    pub fn request(&self, method: Method, path: &str, token: &str) -> RequestBuilder {
        let request = self.http.request(method, format!("{}{path}", self.base));
        if token.is_empty() {
            request
        } else {
            request.bearer_auth(token)
        }
    }

    pub async fn get(&self, path: &str, token: &str) -> Response {
        self.request(Method::GET, path, token).send().await.unwrap()
    }

    pub async fn put(&self, path: &str, token: &str, body: &Value) -> Response {
        let request = self.request(Method::PUT, path, token).json(body);
        request.send().await.unwrap()
    }

    pub async fn delete(&self, path: &str, token: &str) -> Response {
        let request = self.request(Method::DELETE, path, token);
        request.send().await.unwrap()
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        self.app.shutdown.cancel();
    }
}

/// The problem in an answer, with its status.
pub async fn problem(response: Response) -> (u16, Value) {
    let status = response.status().as_u16();
    let media_type = response.headers()["content-type"]
        .to_str()
        .unwrap()
        .to_owned();
    let request = response.headers()["x-request-id"]
        .to_str()
        .unwrap()
        .to_owned();
    let body: Value = response.json().await.unwrap();
    assert_eq!(media_type, "application/problem+json", "{body}");
    assert_eq!(body["status"], status);
    assert_eq!(body["request"], Value::String(request));
    (status, body)
}

/// The faults of a problem as (pointer, code), in order.
pub fn faults(body: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let errors = body["errors"].as_array().unwrap();
    let mut faults: Vec<_> = errors
        .iter()
        .map(|error| (text(&error["pointer"]), text(&error["code"])))
        .collect();
    faults.sort();
    faults
}

/// The profile of the design's example.
pub fn web_developer() -> Value {
    serde_yaml_ng::from_str(include_str!("web-developer.yaml")).unwrap()
}

fn generator(name: &str, stage: Stage, config_schema: Value) -> Generator {
    Generator {
        name: PluginName::built_in(name),
        version: "1.2.3".to_owned(),
        digest: Digest::of(name.as_bytes()),
        title: name.to_owned(),
        summary: String::new(),
        stage,
        config_schema: Arc::new(config_schema),
        secrets: vec!["/secrets/*".to_owned()],
        yanked: None,
        unsigned: None,
    }
}

fn all() -> Vec<Generator> {
    let object = |properties: Value, required: Value| {
        json!({
            "type": "object", "additionalProperties": false,
            "properties": properties, "required": required
        })
    };
    let apt = object(
        json!({
            "packages": { "type": "array", "items": { "type": "string" } },
            "recommends": { "type": "boolean" }
        }),
        json!(["packages"]),
    );
    let config = object(
        json!({ "edits": { "type": "array" }, "files": { "type": "array" } }),
        json!([]),
    );
    let data = object(
        json!({ "user": { "type": "string" }, "sources": { "type": "array" } }),
        json!(["sources"]),
    );
    let script = object(
        json!({ "interpreter": { "type": "string" }, "secrets": { "type": "object" }, "text": { "type": "string" } }),
        json!(["text"]),
    );
    vec![
        generator("apt", Stage::Packages, apt),
        generator("config", Stage::Files, config),
        generator("data", Stage::Files, data),
        generator("script", Stage::Late, script),
    ]
}

#[async_trait]
impl Generators for Catalogue {
    async fn find(
        &self,
        _: &Tenant,
        reference: &PluginRef,
    ) -> Result<Option<Generator>, GeneratorsError> {
        let fits = |generator: &Generator| {
            generator.name == reference.name
                && reference
                    .version
                    .matches(&generator.version, generator.digest, [])
        };
        Ok(all().into_iter().find(fits))
    }

    async fn list(&self, _: &Tenant) -> Result<Vec<Generator>, GeneratorsError> {
        Ok(all())
    }

    /// As a generator would: what its schema cannot say.
    async fn validate(
        &self,
        generator: &Generator,
        config: &Map<String, Value>,
    ) -> Result<Vec<Fault>, GeneratorsError> {
        let Some(packages) = config.get("packages").and_then(Value::as_array) else {
            return Ok(Vec::new());
        };
        assert_eq!(generator.name.id, "apt");
        let wrong = packages
            .iter()
            .enumerate()
            .filter(|(_, name)| *name == "postgresq");
        Ok(wrong
            .map(|(index, _)| {
                Fault::new(
                    format!("/packages/{index}"),
                    "unknown-package",
                    "no package 'postgresq' in bookworm",
                )
                .hint("did you mean 'postgresql'?")
            })
            .collect())
    }
}
