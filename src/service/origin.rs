//! Where clients come from: whom turns, places and wakes are counted for.

use std::net::IpAddr;

use crate::lifecycle::Origin;

/// The origin of a client. An IPv4 address is the same in either notation.
pub(super) fn origin(address: IpAddr) -> Origin {
    match address.to_canonical() {
        IpAddr::V4(address) => Origin::V4(address.octets()),
        IpAddr::V6(address) => {
            let [a, b, c, d, e, f, g, h, ..] = address.octets();
            Origin::V6([a, b, c, d, e, f, g, h])
        }
    }
}
