//! One module a resource. Each says its routes; [`table`] is all of them.

mod etag;
mod health;
mod launches;
mod paging;
mod plugins;
mod profiles;
mod secrets;
mod tokens;
mod volumes;

pub use etag::{Preconditions, etag};
pub use launches::{ConfirmBody, ContentView, LaunchList, LaunchView, StreamView, TimelineView};
pub use paging::{Listing, Paging, Window};
pub use plugins::{PluginList, PluginView};
pub use profiles::{ProfileList, ProfileSummary, ProfileView};
pub use secrets::{SecretBody, SecretList, SecretView};
pub use tokens::{NewTokenBody, TokenCreated, TokenList, TokenView};
pub use volumes::{VolumeList, VolumeSummary};

use crate::route::Route;

/// Every route of the host.
pub fn table() -> Vec<Route> {
    let resources = [
        health::routes(),
        launches::routes(),
        profiles::routes(),
        plugins::routes(),
        secrets::routes(),
        tokens::routes(),
        volumes::routes(),
    ];
    resources.into_iter().flatten().collect()
}
