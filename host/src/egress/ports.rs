//! Ports that no request goes to.
//!
//! Decides which ports those are: of services that are no HTTP, read what they are sent line by line or would be asked
//! for what is not theirs to give, and stand on private networks with nobody watching. A request whose text
//! somebody else chose must not become a mail or a command to a database.
//!
//! The list is shorter than the "bad ports" of the Fetch standard (<https://fetch.spec.whatwg.org/#port-blocking>), and
//! goes beyond it. That one is for browsers, where any page may send to any port, and holds what was
//! dangerous over forty years; each entry that nobody runs any more may be the port of somebody's own receiver here.
//! And it has no databases, which stand next to such receivers.

/// The service that a port belongs to, if no request may go there.
#[must_use]
pub fn refused(port: u16) -> Option<&'static str> {
    Some(match port {
        // RFC 6335, section 6: reserved, and what it means differs between systems.
        0 => "nothing",
        20 | 21 => "FTP",
        22 => "SSH",
        23 => "telnet",
        // 2525 is no assigned port, but what mail providers offer where 25 is closed.
        25 | 465 | 587 | 2525 => "SMTP",
        53 | 853 => "DNS",
        110 | 995 => "POP3",
        111 => "ONC RPC",
        119 | 563 => "NNTP",
        135 | 137..=139 | 445 => "Windows file sharing",
        143 | 993 => "IMAP",
        389 | 636 => "LDAP",
        512..=514 => "remote shells and syslog",
        1433 => "Microsoft SQL Server",
        1521 => "Oracle Database",
        2049 => "NFS",
        3306 => "MySQL",
        5432 => "PostgreSQL",
        6000 => "X11",
        6379 => "Redis",
        6665..=6669 | 6697 => "IRC",
        11211 => "memcached",
        27017 => "MongoDB",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mail_shells_and_databases_are_refused_and_where_receivers_stand_is_not() {
        for port in [0, 22, 23, 25, 53, 110, 143, 445, 465, 587, 2525, 3306, 5432, 6379, 11211, 27017] {
            assert!(refused(port).is_some(), "{port}");
        }
        for port in [80, 443, 1080, 3000, 3128, 5000, 8000, 8008, 8080, 8443, 8888, 9000, 9200, 65535] {
            assert_eq!(refused(port), None, "{port}");
        }
    }
}
