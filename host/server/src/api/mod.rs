//! One module a resource. Each says its routes; [`table`] is all of them.

mod etag;
mod health;
mod launch_recording;
mod launch_view;
mod launch_volume;
mod launches;
mod locks;
mod namespaces;
mod paging;
mod plugins;
mod profiles;
mod reports;
mod secrets;
mod tokens;
mod volumes;

pub use etag::{Preconditions, etag};
pub use launch_view::{ContentView, LaunchList, LaunchView, StreamView};
pub use launch_volume::ConfirmBody;
pub use launches::TimelineView;
pub use locks::{LockBody, LockList, LockView};
pub use namespaces::{NamespaceBody, NamespaceList, NamespaceView};
pub use paging::{Listing, Paging, Window};
pub use plugins::{ExampleView, PluginList, PluginSummary, PluginView, YankBody};
pub use profiles::{ProfileList, ProfileSummary, ProfileView};
pub use secrets::{SecretBody, SecretList, SecretView};
pub use tokens::{NewTokenBody, TokenCreated, TokenList, TokenView};
pub use volumes::{VolumeList, VolumeSummary};

use axum::http::{HeaderName, HeaderValue};
use axum::response::Response;

use crate::route::Route;

/// Every route of the host.
pub fn table() -> Vec<Route> {
    let resources = [
        health::routes(),
        launches::routes(),
        launch_volume::routes(),
        launch_recording::routes(),
        locks::routes(),
        reports::routes(),
        profiles::routes(),
        plugins::routes(),
        namespaces::routes(),
        secrets::routes(),
        tokens::routes(),
        volumes::routes(),
    ];
    resources.into_iter().flatten().collect()
}

/// Sets a field of an answer. A value that HTTP cannot carry is left out: all of ours can be.
fn insert(response: &mut Response, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
}
