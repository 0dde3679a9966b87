//! Which addresses may be connected to (threats 1 and 2).

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;
use std::sync::Arc;

use futures::future::BoxFuture;

/// Resolves a host name. A parameter, so that tests own it.
pub type Lookup =
    Arc<dyn Fn(String) -> BoxFuture<'static, std::io::Result<Vec<IpAddr>>> + Send + Sync>;

/// A range of addresses: `10.0.0.0/8`, `fd00::/8`, `127.0.0.1/32`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    bits: u8,
}

/// The text is no network in CIDR form.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no network; expected an address and a length, such as 10.0.0.0/8")]
pub struct NetworkError(String);

/// A host has no address that may be connected to.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{host} has no public address ({} refused); the operator can allow a network", .refused.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))]
pub struct AddressDenied {
    pub host: String,
    pub refused: Vec<IpAddr>,
}

/// The resolver that `reqwest` connects through: what it returns is all that is connected to.
#[derive(Clone)]
pub struct Resolver {
    lookup: Lookup,
    allowed: Arc<[Network]>,
}

/// The system's resolver.
pub fn system_lookup() -> Lookup {
    Arc::new(|host| {
        Box::pin(async move {
            let found = tokio::net::lookup_host((host, 0)).await?;
            Ok(found.map(|address| address.ip()).collect())
        })
    })
}

// === impl Network ===

impl Network {
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address) {
            (IpAddr::V4(network), IpAddr::V4(address)) => {
                let shift = 32 - u32::from(self.bits);
                (network.to_bits() ^ address.to_bits())
                    .checked_shr(shift)
                    .unwrap_or(0)
                    == 0
            }
            (IpAddr::V6(network), IpAddr::V6(address)) => {
                let shift = 128 - u32::from(self.bits);
                (network.to_bits() ^ address.to_bits())
                    .checked_shr(shift)
                    .unwrap_or(0)
                    == 0
            }
            _ => false,
        }
    }
}

impl FromStr for Network {
    type Err = NetworkError;

    fn from_str(text: &str) -> Result<Self, NetworkError> {
        let wrong = || NetworkError(text.chars().take(80).collect());
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits.parse::<u8>().map_err(|_| wrong())?)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| wrong())?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.unwrap_or(most);
        if bits > most {
            return Err(wrong());
        }
        Ok(Self { address, bits })
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.bits)
    }
}

// === impl Resolver ===

impl Resolver {
    pub fn new(lookup: Lookup, allowed: &[Network]) -> Self {
        Self {
            lookup,
            allowed: allowed.into(),
        }
    }

    /// Whether an address may be connected to.
    pub fn permits(&self, address: IpAddr) -> bool {
        is_public(address) || self.allowed.iter().any(|network| network.contains(address))
    }

    /// Whether an address is reached through the operator's own network only.
    pub fn is_internal(address: IpAddr) -> bool {
        !is_public(address)
    }

    /// The addresses of `host` that may be connected to.
    pub async fn addresses(
        &self,
        host: &str,
    ) -> Result<Vec<IpAddr>, Box<dyn std::error::Error + Send + Sync>> {
        let found = (self.lookup)(host.to_owned()).await?;
        let (permitted, refused): (Vec<_>, Vec<_>) = found
            .into_iter()
            .partition(|address| self.permits(*address));
        if permitted.is_empty() && !refused.is_empty() {
            return Err(Box::new(AddressDenied {
                host: host.to_owned(),
                refused,
            }));
        }
        Ok(permitted)
    }
}

impl reqwest::dns::Resolve for Resolver {
    fn resolve(&self, name: reqwest::dns::Name) -> reqwest::dns::Resolving {
        let this = self.clone();
        Box::pin(async move {
            let addresses = this.addresses(name.as_str()).await?;
            let sockets: reqwest::dns::Addrs =
                Box::new(addresses.into_iter().map(|ip| SocketAddr::new(ip, 0)));
            Ok(sockets)
        })
    }
}

/// True for addresses of the public network. Everything that a cloud, a cluster or the machine itself uses inside is not
/// (IANA special-purpose registries, and the metadata services of clouds).
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    !(address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_multicast()
        || address.is_broadcast()
        || address.is_documentation()
        || a == 0
        || a >= 240
        || (a == 100 && (64..128).contains(&b))
        || (a == 192 && b == 0 && c == 0)
        || (a == 192 && b == 88 && c == 99)
        || (a == 198 && (b & 0xfe) == 18)
        // Azure's wire server has a public address.
        || address == Ipv4Addr::new(168, 63, 129, 16))
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let segments = address.segments();
    let last_v4 = || Ipv4Addr::from(((u32::from(segments[6])) << 16) | u32::from(segments[7]));
    match segments {
        // IPv4 inside IPv6: what counts is where it leads.
        [0, 0, 0, 0, 0, 0xffff, ..] | [0x64, 0xff9b, 0, 0, 0, 0, ..] => is_public_v4(last_v4()),
        [0x2002, high, low, ..] => {
            is_public_v4(Ipv4Addr::from((u32::from(high) << 16) | u32::from(low)))
        }
        // Unspecified, loopback, and addresses "compatible" with IPv4.
        [0, 0, 0, 0, 0, 0, ..] => false,
        // Local-use NAT64, discard, Teredo, benchmarking, ORCHID, documentation.
        [0x64, 0xff9b, 1, ..]
        | [0x100, 0, 0, 0, ..]
        | [0x2001, 0 | 2, ..]
        | [0x2001, 0xdb8, ..]
        | [0x3fff, 0..=0xfff, ..] => false,
        [0x2001, 0x10..=0x3f, ..] => false,
        // Only 2000::/3 is routed on the public network: this leaves out unique-local, link-local, site-local and multicast.
        [first, ..] => (0x2000..0x4000).contains(&first),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_inside_are_told_from_public_ones() {
        for inside in [
            "127.0.0.1",
            "10.1.2.3",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "100.100.100.200",
            "0.0.0.0",
            "255.255.255.255",
            "224.0.0.1",
            "192.0.2.1",
            "198.18.0.1",
            "168.63.129.16",
            "::1",
            "::",
            "fe80::1",
            "fd00:ec2::254",
            "ff02::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "64:ff9b::7f00:1",
            "64:ff9b::a9fe:a9fe",
            "64:ff9b:1::1",
            "2002:7f00:1::",
            "2002:a9fe:a9fe::1",
            "2001:0:1::1",
            "::127.0.0.1",
            "2001:db8::1",
            "fec0::1",
            "100::1",
        ] {
            assert!(!is_public(inside.parse().unwrap()), "{inside}");
        }
        for public in [
            "1.1.1.1",
            "151.101.2.132",
            "2606:4700::1111",
            "::ffff:1.1.1.1",
            "64:ff9b::101:101",
            "2002:101:101::1",
        ] {
            assert!(is_public(public.parse().unwrap()), "{public}");
        }
    }

    #[test]
    fn networks_are_read_and_matched() {
        let network: Network = "10.2.0.0/16".parse().unwrap();
        assert!(network.contains("10.2.255.1".parse().unwrap()));
        assert!(!network.contains("10.3.0.1".parse().unwrap()));
        assert!(
            "::/0"
                .parse::<Network>()
                .unwrap()
                .contains("fe80::1".parse().unwrap())
        );
        assert!(
            "127.0.0.1"
                .parse::<Network>()
                .unwrap()
                .contains("127.0.0.1".parse().unwrap())
        );
        for wrong in ["", "10.0.0.0/33", "host/8", "10.0.0.0/x"] {
            assert!(wrong.parse::<Network>().is_err(), "{wrong}");
        }
    }

    #[tokio::test]
    async fn a_name_that_mixes_addresses_gives_the_public_ones_only() {
        let lookup: Lookup = Arc::new(|host| {
            Box::pin(async move {
                Ok(match host.as_str() {
                    "mixed.example" => {
                        vec!["127.0.0.1".parse().unwrap(), "1.1.1.1".parse().unwrap()]
                    }
                    _ => vec!["169.254.169.254".parse().unwrap()],
                })
            })
        });
        let resolver = Resolver::new(lookup.clone(), &[]);
        let expected: Vec<IpAddr> = vec!["1.1.1.1".parse().unwrap()];
        assert_eq!(resolver.addresses("mixed.example").await.unwrap(), expected);
        assert!(
            resolver
                .addresses("rebound.example")
                .await
                .unwrap_err()
                .is::<AddressDenied>()
        );
        let allowed = Resolver::new(lookup, &["169.254.0.0/16".parse().unwrap()]);
        assert_eq!(allowed.addresses("rebound.example").await.unwrap().len(), 1);
    }
}
