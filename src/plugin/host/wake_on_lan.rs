//! `wake-on-lan`: magic packets, under `allow.wake_on_lan`.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};

use tokio::net::UdpSocket;

use crate::plugin::bindings::wake_on_lan::{self, WakeError};
use crate::plugin::grants;
use crate::plugin::guest::Guest;
use crate::text;

/// The hardware address of a network card.
type Mac = [u8; 6];

/// How often a magic packet repeats the address that it is for.
const REPEATS: usize = 16;

impl wake_on_lan::Host for Guest {
    async fn send(&mut self, mac: String, broadcast: Option<String>) -> Result<(), WakeError> {
        let mac = hardware_address(&mac).ok_or_else(|| {
            WakeError::Invalid(format!(
                "`{}` is no hardware address: these are six pairs of hexadecimal digits, as in \
                 `aa:bb:cc:dd:ee:ff`",
                text::line(&mac, 64)
            ))
        })?;
        let wanted = broadcast.map(|wanted| {
            place(&wanted).ok_or_else(|| {
                WakeError::Invalid(format!(
                    "`{}` is no place to send to: write the broadcast address of a network, as in \
                     `192.168.1.255` or `192.168.1.255:9`",
                    text::line(&wanted, 64)
                ))
            })
        });
        let places = grants::wake_on_lan(&self.worker.plugin, wanted.transpose()?)
            .map_err(|denial| WakeError::Denied(self.worker.deny(&denial)))?;
        for place in places {
            send_to(place, &magic_packet(mac)).await.map_err(|error| {
                WakeError::Failed(format!("sending a magic packet to {place} failed: {error}"))
            })?;
        }
        Ok(())
    }
}

async fn send_to(place: SocketAddrV4, packet: &[u8]) -> std::io::Result<()> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).await?;
    socket.set_broadcast(true)?;
    socket.send_to(packet, SocketAddr::V4(place)).await?;
    Ok(())
}

/// `ADDRESS` or `ADDRESS:PORT`.
fn place(text: &str) -> Option<(Ipv4Addr, Option<u16>)> {
    let with_port = text.parse().map(|place: SocketAddrV4| (*place.ip(), Some(place.port())));
    with_port.or_else(|_| text.parse().map(|address| (address, None))).ok()
}

/// Six pairs of digits, with the same sign between all of them.
fn hardware_address(text: &str) -> Option<Mac> {
    let sign = text.chars().nth(2).filter(|sign| matches!(sign, ':' | '-'))?;
    let mut pairs = text.split(sign);
    let mut mac = Mac::default();
    for byte in &mut mac {
        let pair = pairs.next()?;
        let is_pair = pair.len() == 2 && pair.bytes().all(|digit| digit.is_ascii_hexdigit());
        *byte = is_pair.then(|| u8::from_str_radix(pair, 16).ok()).flatten()?;
    }
    pairs.next().is_none().then_some(mac)
}

/// What wakes the card: six bytes of ones, and its address again and again.
fn magic_packet(mac: Mac) -> Vec<u8> {
    [&[0xff; 6][..], &mac.repeat(REPEATS)].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hardware_address_is_six_pairs_of_digits_with_one_sign_between_them() {
        let mac = Some([0xaa, 0xbb, 0xcc, 0x0d, 0xee, 0xff]);
        assert_eq!(hardware_address("aa:bb:cc:0d:ee:ff"), mac);
        assert_eq!(hardware_address("AA-BB-CC-0D-EE-FF"), mac);
        for other in [
            "",
            "aa:bb:cc:0d:ee",
            "aa:bb:cc:0d:ee:ff:00",
            "aa:bb:cc:0d:ee:ff:",
            "aa:bb:cc:0d:ee-ff",
            "a:bb:cc:0d:ee:fff",
            "+a:bb:cc:0d:ee:ff",
            "aa:bb:cc:0d:ee:fg",
            "aabbcc0deeff",
            "aabb.cc0d.eeff",
            " aa:bb:cc:0d:ee:ff",
            "äa:bb:cc:0d:ee:ff",
        ] {
            assert_eq!(hardware_address(other), None, "{other}");
        }
    }
}
