//! A network: an address and how many of its bits count, `10.0.0.0/8`.

use core::net::IpAddr;
use std::fmt;
use std::str::FromStr;

use crate::codec::invalid::Invalid;

/// Addresses that begin with the same bits. An IPv4 address inside an IPv6 one
/// (`::ffff:10.0.0.1`) is that IPv4 address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Network {
    address: IpAddr,
    bits: u8,
}

impl Network {
    /// Whether this address belongs to it.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        address.is_ipv4() == self.address.is_ipv4() && masked(address, self.bits) == self.address
    }
}

/// The first bits of an address, the others zero.
fn masked(address: IpAddr, bits: u8) -> IpAddr {
    let bits = u32::from(bits);
    match address {
        IpAddr::V4(address) => {
            let mask = u32::MAX.checked_shl(32 - bits).unwrap_or(0);
            IpAddr::V4((address.to_bits() & mask).into())
        }
        IpAddr::V6(address) => {
            let mask = u128::MAX.checked_shl(128 - bits).unwrap_or(0);
            IpAddr::V6((address.to_bits() & mask).into())
        }
    }
}

impl FromStr for Network {
    type Err = Invalid;

    /// Reads `ADDRESS/BITS`, or an address, all of whose bits count.
    fn from_str(text: &str) -> Result<Self, Invalid> {
        let wrong = || Invalid::Network(text.to_owned());
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text, None),
        };
        let written: IpAddr = address.parse().map_err(|_| wrong())?;
        let address = written.to_canonical();
        let most = if address.is_ipv4() { 32 } else { 128 };
        let bits = match bits {
            Some(bits) if bits.bytes().all(|b| b.is_ascii_digit()) => {
                let bits: u8 = bits.parse().map_err(|_| wrong())?;
                // The bits of ::ffff:10.0.0.0/104 count from the start of the IPv6 address.
                let before = if written == address { 0 } else { 96 };
                bits.checked_sub(before).ok_or_else(wrong)?
            }
            Some(_) => return Err(wrong()),
            None => most,
        };
        if bits > most {
            return Err(wrong());
        }
        let cut = masked(address, bits);
        if cut != address {
            return Err(Invalid::NetworkBits(format!("{cut}/{bits}")));
        }
        Ok(Network { address, bits })
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.bits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn holds(network: &str, address: &str) -> bool {
        let network: Network = network.parse().unwrap();
        network.contains(address.parse().unwrap())
    }

    #[test]
    fn a_network_holds_the_addresses_that_begin_as_it_does() {
        assert!(holds("10.0.0.0/8", "10.255.0.1"));
        assert!(!holds("10.0.0.0/8", "11.0.0.1"));
        assert!(holds("192.168.1.7", "192.168.1.7"));
        assert!(!holds("192.168.1.7", "192.168.1.8"));
        assert!(holds("0.0.0.0/0", "1.2.3.4"));
        assert!(!holds("0.0.0.0/0", "fd00::1"));
        assert!(holds("fd00::/8", "fd12:3456::1"));
        assert!(!holds("fd00::/8", "fe80::1"));
        assert!(holds("::/0", "fe80::1"));
        assert!(!holds("::/0", "10.0.0.1"));
    }

    #[test]
    fn an_ipv4_address_inside_an_ipv6_one_is_that_address() {
        assert!(holds("10.0.0.0/8", "::ffff:10.1.2.3"));
        assert!(!holds("10.0.0.0/8", "::ffff:11.1.2.3"));
        assert!(!holds("::/0", "::ffff:10.1.2.3"));
        assert!(holds("::ffff:10.0.0.0/104", "10.1.2.3"));
        assert!(holds("::ffff:10.0.0.1", "10.0.0.1"));
    }

    #[test]
    fn what_is_not_a_network_is_refused() {
        for text in [
            "",
            "localhost",
            "10.0.0.0/",
            "10.0.0.0/33",
            "10.0.0.0/+8",
            "fd00::/129",
            "10.0.0/8",
            "::ffff:10.0.0.0/95",
            "10.0.0.0/8/8",
        ] {
            let error = text.parse::<Network>().unwrap_err();
            assert_eq!(error, Invalid::Network(text.to_owned()), "{text}");
        }
        let error = "10.1.0.0/8".parse::<Network>().unwrap_err();
        assert!(error.to_string().contains("10.0.0.0/8"), "{error}");
    }

    proptest! {
        #[test]
        fn what_is_printed_is_read(address: u128, bits in 0_u8..=128, four: bool) {
            let (whole, bits): (IpAddr, u8) = match four {
                true => (IpAddr::V4(u32::try_from(address >> 96).unwrap().into()), bits.min(32)),
                false => (IpAddr::V6(address.into()), bits),
            };
            prop_assume!(whole == whole.to_canonical());
            let network = Network { address: masked(whole, bits), bits };
            prop_assume!(network.address == network.address.to_canonical());
            prop_assert_eq!(network.to_string().parse::<Network>(), Ok(network));
            prop_assert!(network.contains(whole));
        }
    }
}
