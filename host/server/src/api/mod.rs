//! One module a resource. Each says its routes; [`table`] is all of them.

mod etag;
mod health;
mod paging;
mod plugins;
mod profiles;
mod secrets;
mod tokens;

pub use etag::{Preconditions, etag};
pub use paging::{Paging, Window};
pub use plugins::{PluginList, PluginView};
pub use profiles::{ProfileList, ProfileSummary, ProfileView};
pub use secrets::{SecretBody, SecretList, SecretView};
pub use tokens::{NewTokenBody, TokenCreated, TokenList, TokenView};

use crate::route::Route;

/// Every route of the host.
pub fn table() -> Vec<Route> {
    let resources = [
        health::routes(),
        profiles::routes(),
        plugins::routes(),
        secrets::routes(),
        tokens::routes(),
    ];
    resources.into_iter().flatten().collect()
}
