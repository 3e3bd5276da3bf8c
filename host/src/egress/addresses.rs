//! Which addresses a connection may be made to.
//!
//! Decides for each IP address what it is for: everybody's, a network's own, a cloud's own, or nobody's. It does not
//! know names; whoever makes a connection asks for each address that a name has, each time.
//!
//! The sources are the registries of IANA: the special-purpose addresses of
//! [IPv4](https://www.iana.org/assignments/iana-ipv4-special-registry) and
//! [IPv6](https://www.iana.org/assignments/iana-ipv6-special-registry), the
//! [IPv6 address space](https://www.iana.org/assignments/ipv6-address-space), of which only `2000::/3` is global
//! unicast; and for the clouds their own documentation. What nobody has assigned is nobody's.
//!
//! An IPv6 address that stands for an IPv4 one is what that one is: `::ffff:0:0/96` (RFC 4291, section 2.5.5.2) and
//! the well-known prefix of NAT64, `64:ff9b::/96` (RFC 6052). Where a network has a NAT64 prefix of its own,
//! nothing tells its addresses from others. The other forms of old transitions are nobody's.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// How many addresses an error names.
const FEW: usize = 3;

/// What an address is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Anybody's on the internet.
    Public,
    /// This machine's, or its network's.
    Private,
    /// Where a cloud tells its machines about themselves, credentials included.
    Metadata,
    /// Nobody's that a request could be for.
    Never,
}

/// How far the requests to an origin reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    /// The configuration names the origin: private addresses too, and a cloud's where it is written as the host.
    Named,
    /// The origin is a service's own: public addresses.
    Fixed,
    /// Whoever writes the configuration is not trusted: public addresses.
    Strict,
}

/// A host that has only addresses that no connection is made to.
#[derive(Debug)]
pub(super) struct Blocked {
    pub(super) host: String,
    pub(super) addresses: Vec<IpAddr>,
    pub(super) reach: Reach,
}

impl Kind {
    /// What an address is for.
    #[must_use]
    pub fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) => Self::of_v4(address),
            IpAddr::V6(address) => Self::of_v6(address),
        }
    }

    fn of_v4(address: Ipv4Addr) -> Self {
        match address.octets() {
            // Amazon EC2 and nearly every other cloud; Amazon ECS and EKS; Scaleway; Tencent; Alibaba; Azure's
            // WireServer; Oracle's first generation.
            [169, 254, 169, 254]
            | [169, 254, 170, 2 | 23]
            | [169, 254, 42, 42]
            | [169, 254, 0, 23]
            | [100, 100, 100, 200]
            | [168, 63, 129, 16]
            | [192, 0, 0, 192] => Self::Metadata,
            // "This network", IETF protocol assignments, 6to4 relays, multicast, reserved, broadcast.
            [0, ..] | [192, 0, 0, _] | [192, 88, 99, _] | [224..=255, ..] => Self::Never,
            // Documentation.
            [192, 0, 2, _] | [198, 51, 100, _] | [203, 0, 113, _] => Self::Never,
            // RFC 1918, loopback, link-local.
            [10, ..] | [172, 16..=31, ..] | [192, 168, ..] | [127, ..] | [169, 254, ..] => Self::Private,
            // Shared address space, benchmarks.
            [100, 64..=127, ..] | [198, 18..=19, ..] => Self::Private,
            _ => Self::Public,
        }
    }

    fn of_v6(address: Ipv6Addr) -> Self {
        let [.., a, b, c, d] = address.octets();
        match address.segments() {
            // IPv4-mapped, and NAT64.
            [0, 0, 0, 0, 0, 0xffff, ..] | [0x64, 0xff9b, 0, 0, 0, 0, ..] => {
                Self::of_v4(Ipv4Addr::new(a, b, c, d))
            }
            // Amazon EC2 and EKS, Google, Scaleway, OpenStack.
            [0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254 | 0x23]
            | [0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254]
            | [0xfd00, 0x42, 0, 0, 0, 0, 0, 0x42]
            | [0xfe80, 0, 0, 0, 0, 0, 0xa9fe, 0xa9fe] => Self::Metadata,
            // Loopback, unique local, link-local.
            [0, 0, 0, 0, 0, 0, 0, 1] | [0xfc00..=0xfdff, ..] | [0xfe80..=0xfebf, ..] => Self::Private,
            // IETF protocol assignments with Teredo, 6to4, documentation.
            [0x2001, 0..=0x1ff, ..] | [0x2002, ..] | [0x2001, 0xdb8, ..] | [0x3fff, 0..=0xfff, ..] => {
                Self::Never
            }
            [0x2000..=0x3fff, ..] => Self::Public,
            // Among them the unspecified, IPv4-compatible, discard-only, local NAT64, segment routing, site-local and
            // multicast addresses.
            _ => Self::Never,
        }
    }
}

impl Reach {
    /// Whether a connection may be made to an address; `written` says whether it stands as the host itself, so that
    /// whoever named the host meant this very address.
    pub(super) fn allows(self, address: IpAddr, written: bool) -> bool {
        match Kind::of(address) {
            Kind::Public => true,
            Kind::Private => self == Self::Named,
            Kind::Metadata => self == Self::Named && written,
            Kind::Never => false,
        }
    }
}

impl Blocked {
    /// Whether the URL has the address itself, so that it never leads elsewhere.
    pub(super) fn is_literal(&self) -> bool {
        self.host.parse::<IpAddr>().is_ok()
    }
}

impl std::error::Error for Blocked {}

impl fmt::Display for Blocked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whose = match self.reach {
            Reach::Named if self.addresses.iter().any(|address| Kind::of(*address) == Kind::Metadata) => {
                "a cloud keeps for its machines"
            }
            Reach::Named => "no receiver can have",
            Reach::Fixed | Reach::Strict => "a public service cannot have",
        };
        let written = self.addresses.iter().take(FEW).map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let more = if self.addresses.len() > FEW { ", …" } else { "" };
        match self.host.parse::<IpAddr>() {
            Ok(_) => write!(f, "{} is an address that {whose}", self.host)?,
            Err(_) => write!(f, "{} has only addresses that {whose} ({written}{more})", self.host)?,
        }
        match self.reach {
            Reach::Named if whose.starts_with("a cloud") => {
                f.write_str("; if it is meant, write the address as the host")
            }
            Reach::Fixed => f.write_str("; a private host must be named in the configuration"),
            Reach::Named | Reach::Strict => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(address: &str) -> Kind {
        Kind::of(address.parse().unwrap())
    }

    /// The first and the last address of each block, and what lies right before and behind it.
    #[test]
    fn every_special_block_begins_and_ends_where_its_registry_says() {
        for (block, expected) in [
            ("0.0.0.0-0.255.255.255", Kind::Never),
            ("10.0.0.0-10.255.255.255", Kind::Private),
            ("100.64.0.0-100.127.255.255", Kind::Private),
            ("127.0.0.0-127.255.255.255", Kind::Private),
            ("169.254.0.0-169.254.255.255", Kind::Private),
            ("172.16.0.0-172.31.255.255", Kind::Private),
            ("192.0.0.0-192.0.0.255", Kind::Never),
            ("192.0.2.0-192.0.2.255", Kind::Never),
            ("192.88.99.0-192.88.99.255", Kind::Never),
            ("192.168.0.0-192.168.255.255", Kind::Private),
            ("198.18.0.0-198.19.255.255", Kind::Private),
            ("198.51.100.0-198.51.100.255", Kind::Never),
            ("203.0.113.0-203.0.113.255", Kind::Never),
            ("224.0.0.0-255.255.255.255", Kind::Never),
            ("2001::-2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff", Kind::Never),
            ("2001:db8::-2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", Kind::Never),
            ("2002::-2002:ffff:ffff:ffff:ffff:ffff:ffff:ffff", Kind::Never),
            ("3fff::-3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff", Kind::Never),
        ] {
            let ends = block.split_once('-').map(|(first, last)| (first.parse(), last.parse()));
            let Some((Ok(first), Ok(last))) = ends else { panic!("{block}") };
            assert_eq!((Kind::of(first), Kind::of(last)), (expected, expected), "{block}");
            let beside = match (first, last) {
                (IpAddr::V4(first), IpAddr::V4(last)) => [
                    first.to_bits().checked_sub(1).map(|bits| IpAddr::V4(Ipv4Addr::from_bits(bits))),
                    last.to_bits().checked_add(1).map(|bits| IpAddr::V4(Ipv4Addr::from_bits(bits))),
                ],
                (IpAddr::V6(first), IpAddr::V6(last)) => [
                    first.to_bits().checked_sub(1).map(|bits| IpAddr::V6(Ipv6Addr::from_bits(bits))),
                    last.to_bits().checked_add(1).map(|bits| IpAddr::V6(Ipv6Addr::from_bits(bits))),
                ],
                _ => panic!("{block}"),
            };
            for address in beside.into_iter().flatten() {
                assert_eq!(Kind::of(address), Kind::Public, "{address} is beside {block}");
            }
        }
    }

    #[test]
    fn outside_global_unicast_only_networks_own_addresses_are_somebodys() {
        for private in
            ["::1", "fc00::", "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "fe80::1", "febf:ffff:ffff:ffff::"]
        {
            assert_eq!(kind(private), Kind::Private, "{private}");
        }
        for never in [
            "::",
            "::2",
            "::127.0.0.1",
            "::8.8.8.8",
            "::ffff:0:8.8.8.8",
            "64:ff9b:1::8.8.8.8",
            "64:ff9b:0:1::1",
            "100::1",
            "100:0:0:1::1",
            "1fff:ffff::1",
            "4000::",
            "5f00::1",
            "fbff:ffff::",
            "fe00::1",
            "fe7f:ffff::",
            "fec0::1",
            "ff02::1",
            "ff0e::1",
            "::fffe:8.8.8.8",
        ] {
            assert_eq!(kind(never), Kind::Never, "{never}");
        }
        for public in ["2000::", "2001:200::1", "2606:4700::1111", "2a00:1450::1", "3ffe:ffff::", "1.1.1.1"] {
            assert_eq!(kind(public), Kind::Public, "{public}");
        }
    }

    #[test]
    fn an_address_that_stands_for_another_is_what_that_one_is() {
        for (v4, expected) in [
            ("8.8.8.8", Kind::Public),
            ("127.0.0.1", Kind::Private),
            ("169.254.169.254", Kind::Metadata),
            ("0.0.0.0", Kind::Never),
        ] {
            for form in [v4.to_owned(), format!("::ffff:{v4}"), format!("64:ff9b::{v4}")] {
                assert_eq!(kind(&form), expected, "{form}");
            }
        }
    }

    #[test]
    fn a_clouds_own_addresses_are_reached_only_where_they_are_written() {
        for address in [
            "169.254.169.254",
            "169.254.170.2",
            "169.254.170.23",
            "169.254.42.42",
            "169.254.0.23",
            "100.100.100.200",
            "168.63.129.16",
            "192.0.0.192",
            "fd00:ec2::254",
            "fd00:ec2::23",
            "fd20:ce::254",
            "fd00:42::42",
            "fe80::a9fe:a9fe",
            "::ffff:a9fe:a9fe",
            "64:ff9b::a9fe:a9fe",
        ] {
            assert_eq!(kind(address), Kind::Metadata, "{address}");
            let address = address.parse().unwrap();
            assert!(Reach::Named.allows(address, true) && !Reach::Named.allows(address, false), "{address}");
            assert!(!Reach::Fixed.allows(address, true) && !Reach::Strict.allows(address, true), "{address}");
        }
    }

    #[test]
    fn private_addresses_are_reached_only_by_name_and_public_ones_by_all() {
        for reach in [Reach::Named, Reach::Fixed, Reach::Strict] {
            assert_eq!(reach.allows("10.0.0.1".parse().unwrap(), false), reach == Reach::Named);
            assert!(reach.allows("8.8.8.8".parse().unwrap(), false));
            assert!(!reach.allows("0.0.0.0".parse().unwrap(), true));
        }
    }

    #[test]
    fn what_is_blocked_is_named_with_what_to_do() {
        let blocked = |host: &str, addresses: &[&str], reach| {
            let addresses = addresses.iter().map(|address| address.parse().unwrap()).collect();
            Blocked { host: host.to_owned(), addresses, reach }.to_string()
        };
        assert_eq!(
            blocked("discord.com", &["127.0.0.1", "::1"], Reach::Fixed),
            "discord.com has only addresses that a public service cannot have (127.0.0.1, ::1); a private host must \
             be named in the configuration"
        );
        assert_eq!(
            blocked("a", &["0.0.0.0", "0.0.0.1", "0.0.0.2", "0.0.0.3"], Reach::Named),
            "a has only addresses that no receiver can have (0.0.0.0, 0.0.0.1, 0.0.0.2, …)"
        );
        assert_eq!(
            blocked("metadata", &["169.254.169.254"], Reach::Named),
            "metadata has only addresses that a cloud keeps for its machines (169.254.169.254); if it is meant, \
             write the address as the host"
        );
        assert_eq!(
            blocked("10.0.0.1", &["10.0.0.1"], Reach::Strict),
            "10.0.0.1 is an address that a public service cannot have"
        );
    }
}
